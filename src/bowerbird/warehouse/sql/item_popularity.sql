-- one row per item: events, weight and different users in the last 1, 7 and 28 days before the cut-off, and of all time
with

evidence as (
    select user_id, item_id, timestamp, weight::decimal(18, 6) as weight
    from interactions
    where weight > 0 and timestamp < $cut_off
),

volumes as (
    select
        item_id,
        count(*) filter (timestamp >= $cut_off - interval 1 day) as num_events_1d,
        count(*) filter (timestamp >= $cut_off - interval 7 day) as num_events_7d,
        count(*) filter (timestamp >= $cut_off - interval 28 day) as num_events_28d,
        count(*) as num_events,
        coalesce(sum(weight) filter (timestamp >= $cut_off - interval 1 day), 0)::double as weight_1d,
        coalesce(sum(weight) filter (timestamp >= $cut_off - interval 7 day), 0)::double as weight_7d,
        coalesce(sum(weight) filter (timestamp >= $cut_off - interval 28 day), 0)::double as weight_28d,
        sum(weight)::double as weight
    from evidence
    group by item_id
),

visits as (
    select item_id, user_id, max(timestamp) as last_timestamp
    from evidence
    group by item_id, user_id
),

audiences as (
    select
        item_id,
        count(*) filter (last_timestamp >= $cut_off - interval 1 day) as num_users_1d,
        count(*) filter (last_timestamp >= $cut_off - interval 7 day) as num_users_7d,
        count(*) filter (last_timestamp >= $cut_off - interval 28 day) as num_users_28d,
        count(*) as num_users
    from visits
    group by item_id
),

final as (
    select volumes.*, audiences.* exclude (item_id)
    from volumes
    inner join audiences on volumes.item_id = audiences.item_id
)

select * from final
order by item_id
