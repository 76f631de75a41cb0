-- one row per interaction before the cut-off, by user and time
-- Cancellations are no interactions. What was taken back in full, and what the target condition rules out, stays as seen, with
-- weight 0. The place of a row in this order is its `position` for the files that build on it.
with

known_events as (
    select * from events_judged where timestamp < $cut_off
),

types as (
    select event, weight, is_target from event_types where cancels is null
),

cancelled as (
    select event_id from cancelled_events where cut_off = $cut_off
),

typed as (
    select
        known_events.*,
        types.weight as type_weight,
        types.is_target as is_target_type,
        known_events.holds and cancelled.event_id is null as is_evidence
    from known_events
    inner join types on known_events.event = types.event
    left join cancelled on known_events.event_id = cancelled.event_id
),

final as (
    select
        user_id,
        item_id,
        timestamp,
        event,
        case when is_evidence then type_weight else 0 end as weight,
        session_id,
        is_target_type and is_evidence as is_target,
        quantity,
        price,
        source_row,
        event_id
    from typed
)

select * exclude (source_row, event_id) from final
order by user_id, timestamp, source_row, event_id
