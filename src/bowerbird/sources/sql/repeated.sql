-- one row per accepted row that shares its identity with another accepted row
-- ordinal: its place among the equal rows of its file where they are told apart, else 1
create or replace temp table repeated as
with
shared as (
    select identity from staged where broken = 0 group by identity having count(*) > 1
),
numbered as (
    select
        file,
        source_row,
        identity,
        case when $keep then row_number() over (partition by identity, file order by source_row) else 1 end as ordinal
    from staged
    where broken = 0 and identity in (select identity from shared)
),
final as (
    select
        file,
        source_row,
        ordinal,
        row_number() over (partition by identity, ordinal order by file, source_row) = 1 as is_first
    from numbered
)
select * from final
