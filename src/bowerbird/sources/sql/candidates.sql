-- one row per accepted row, with the identity that tells equal rows apart
create or replace temp view candidates as
with final as (
    select
        staged.* replace (
            case when coalesce(ordinal, 1) = 1 then identity else md5(concat(identity, '#', ordinal))::uuid end as identity
        ),
        coalesce(is_first, true) as is_first
    from staged
    left join repeated using (file, source_row)
    where broken = 0
)
select * from final
