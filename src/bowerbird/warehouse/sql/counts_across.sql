-- one row per item and per user with events, told apart by the table that describes them
-- Counts before the cut-off, and what came on top from then on; `others` are an item's users, a user's items.
with

judged as (
    select
        events_judged.user_id,
        events_judged.item_id,
        events_judged.timestamp < $cut_off as is_before,
        event_types.is_target and events_judged.holds as is_target
    from events_judged
    inner join event_types on events_judged.event = event_types.event
),

by_item as (
    select
        'items' as described,
        item_id as id,
        count(*) filter (is_before) as events_before,
        count(*) filter (not is_before) as events_after,
        count(*) filter (is_before and is_target) as targets_before,
        count(*) filter (not is_before and is_target) as targets_after,
        count(distinct user_id) filter (is_before) as others_before,
        count(distinct user_id) - count(distinct user_id) filter (is_before) as others_after
    from judged
    group by item_id
),

by_user as (
    select
        'users' as described,
        user_id as id,
        count(*) filter (is_before) as events_before,
        count(*) filter (not is_before) as events_after,
        count(*) filter (is_before and is_target) as targets_before,
        count(*) filter (not is_before and is_target) as targets_after,
        count(distinct item_id) filter (is_before) as others_before,
        count(distinct item_id) - count(distinct item_id) filter (is_before) as others_after
    from judged
    group by user_id
),

final as (
    select * from by_item
    union all
    select * from by_user
)

select * from final
order by described, id
