-- one row per item and per user with events, told apart by the table that describes them
-- What came before the cut-off, what came on top from then on, and what either half of the others brought of the latter: `others`
-- are an item's users, a user's items, dealt into halves by their ids. Recent is what came as long before the cut-off as the log
-- goes on after it. `value` is that of `events_valued`; times are seconds.
with

newest as (
    select max(timestamp) as moment from events_valued
),

judged as (
    select
        events_valued.user_id,
        events_valued.item_id,
        events_valued.timestamp < $cut_off as is_before,
        events_valued.timestamp < $cut_off and events_valued.timestamp - $cut_off >= $cut_off - newest.moment as is_recent,
        epoch(events_valued.timestamp) as moment,
        event_types.is_target and events_valued.holds as is_target,
        events_valued.value
    from events_valued
    inner join event_types on events_valued.event = event_types.event
    cross join newest
),

pairs as (
    select
        user_id,
        item_id,
        count(*) filter (is_before) as events_before,
        count(*) filter (not is_before) as events_after,
        count(*) filter (is_recent) as events_recent,
        count(*) filter (is_before and is_target) as targets_before,
        count(*) filter (not is_before and is_target) as targets_after,
        count(value) filter (is_before) as valued_before,
        count(value) filter (not is_before) as valued_after,
        sum(value) filter (is_before) as value_before,
        sum(value) filter (not is_before) as value_after,
        min(moment) as first_moment,
        max(moment) filter (is_before) as last_before,
        max(moment) filter (not is_before) as last_after
    from judged
    group by user_id, item_id
),

described as (
    select 'items' as described, item_id as id, hash(user_id) % 2 as half, pairs.* exclude (user_id, item_id) from pairs
    union all
    select 'users' as described, user_id as id, hash(item_id) % 2 as half, pairs.* exclude (user_id, item_id) from pairs
),

final as (
    select
        described,
        id,
        sum(events_before)::bigint as events_before,
        sum(events_after)::bigint as events_after,
        sum(events_recent)::bigint as events_recent,
        coalesce(sum(events_after) filter (half = 0), 0)::bigint as events_half,
        sum(targets_before)::bigint as targets_before,
        sum(targets_after)::bigint as targets_after,
        coalesce(sum(targets_after) filter (half = 0), 0)::bigint as targets_half,
        count(*) filter (events_before > 0) as others_before,
        count(*) filter (events_before = 0) as others_after,
        count(*) filter (events_before = 0 and half = 0) as others_half,
        sum(valued_before)::bigint as valued_before,
        sum(valued_after)::bigint as valued_after,
        coalesce(sum(valued_after) filter (half = 0), 0)::bigint as valued_half,
        coalesce(sum(value_before), 0)::double as value_before,
        coalesce(sum(value_after), 0)::double as value_after,
        coalesce(sum(value_after) filter (half = 0), 0)::double as value_half,
        min(first_moment) as first_moment,
        max(last_before) as last_before,
        max(last_after) as last_after,
        max(last_after) filter (half = 0) as last_half,
        max(last_after) filter (half = 1) as last_other_half
    from described
    group by described, id
)

select * from final
order by described, id
