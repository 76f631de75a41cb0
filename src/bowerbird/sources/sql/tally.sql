-- one row per set of rules that a row breaks; 0 is none
with final as (
    select broken, count(*) as num_rows from staged group by broken
)
select * from final order by broken
