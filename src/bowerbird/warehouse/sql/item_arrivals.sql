-- one row per item that no event before the cut-off names: when it came and what tells so, both null where nothing does
-- A date in the catalogue tells first; the log tells of items that the catalogue lacks.
with

earlier as (
    select distinct item_id from events where timestamp < $cut_off
),

undated as (
    select item_id, created_at, available_from from items
    anti join earlier using (item_id)
),

listed as (
    select
        item_id,
        coalesce(created_at, available_from) as came_at,
        case when created_at is not null then 'created_at' when available_from is not null then 'available_from' end as told_by
    from undated
),

unlisted as (
    select item_id, min(timestamp) as came_at, 'first event' as told_by
    from events
    anti join earlier using (item_id)
    anti join items using (item_id)
    group by item_id
),

final as (
    select * from listed
    union all
    select * from unlisted
)

select * from final
order by item_id
