-- one row per user and item with a target event in [$start, $end)
-- What was taken back before the end is no target. A pair is a repeat where the user had a target event on the item before the
-- start, as it was known then. Its gain is the largest weight of the types of its target events.
with

known_events as (
    select user_id, item_id, event, timestamp, event_id from events_judged where timestamp < $end and holds
),

types as (
    select event, weight from event_types where is_target and cancels is null
),

cancelled as (
    select cut_off, event_id from cancelled_events
),

target_events as (
    select * from known_events
    join types using (event)
),

targets as (
    select user_id, item_id, max(weight) as gain
    from target_events
    anti join (select event_id from cancelled where cut_off = $end) as cancelled_at_end using (event_id)
    where timestamp >= $start
    group by user_id, item_id
),

past_targets as (
    select distinct user_id, item_id
    from target_events
    semi join targets using (user_id, item_id)
    anti join (select event_id from cancelled where cut_off = $start) as cancelled_at_start using (event_id)
    where timestamp < $start
),

final as (
    select
        targets.user_id,
        targets.item_id,
        past_targets.user_id is not null as is_repeat,
        targets.gain
    from targets
    left join past_targets
        on targets.user_id = past_targets.user_id and targets.item_id = past_targets.item_id
)

select * from final
order by user_id, item_id
