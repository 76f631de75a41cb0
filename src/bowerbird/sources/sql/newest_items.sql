-- one row per item: the last row of the source wins over those before it, and over what the table holds
create or replace temp table merged as
with
newest as (
    select * exclude (file, source_row, broken, raw)
    from staged
    where broken = 0
    qualify row_number() over (partition by item_id order by file desc, source_row desc) = 1
),
kept as (
    select * from stored anti join newest using (item_id)
),
final as (
    select * from kept union all by name select * from newest
)
select * from final
