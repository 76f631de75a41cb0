-- one row per event that later events took back in full before the cut-off
-- Matching is last in, first out within one user, item and type: the depth of the stack falls back to where it was before the
-- event. A cancellation that finds an empty stack does nothing.
-- The log is read twice rather than kept for the second reading, which would spill all of it.
with

known_events as not materialized (
    select
        user_id,
        item_id,
        event,
        timestamp,
        source_row,
        event_id,
        coalesce(nullif(abs(try_cast(quantity as decimal(18, 6))), 0), 1) as amount
    from events_judged
    where timestamp < $cut_off
),

types as (
    select event, cancels from event_types where cancels is not null
),

cancellations as (
    select
        known_events.user_id,
        known_events.item_id,
        types.cancels as event,
        known_events.timestamp,
        known_events.source_row,
        known_events.event_id,
        -known_events.amount as change
    from known_events
    inner join types on known_events.event = types.event
),

cancellable as (
    select
        known_events.user_id,
        known_events.item_id,
        known_events.event,
        known_events.timestamp,
        known_events.source_row,
        known_events.event_id,
        known_events.amount as change
    from known_events
    semi join cancellations using (user_id, item_id, event)
),

changes as (
    select * from cancellable
    union all
    select * from cancellations
),

running as (
    select
        *,
        sum(change) over (
            partition by user_id, item_id, event order by timestamp, source_row, event_id
            rows between unbounded preceding and current row
        ) as balance
    from changes
),

stacked as (
    select
        *,
        balance - least(0, min(balance) over (
            partition by user_id, item_id, event order by timestamp, source_row, event_id
            rows between unbounded preceding and current row
        )) as depth
    from running
),

foreseen as (
    select
        *,
        min(depth) over (
            partition by user_id, item_id, event order by timestamp, source_row, event_id
            rows between 1 following and unbounded following
        ) as lowest_later_depth
    from stacked
),

final as (
    select $cut_off as cut_off, event_id
    from foreseen
    where change > 0 and lowest_later_depth <= depth - change
)

select * from final
