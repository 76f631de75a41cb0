-- one row per user: how much, how widely, how often and how lately, as of the cut-off
with

seen as not materialized (
    select * from interactions where timestamp < $cut_off
),

volumes as (
    select
        user_id,
        count(*) as num_events,
        count(*) filter (weight > 0) as num_evidence,
        count(*) filter (is_target) as num_targets,
        sum(weight::decimal(18, 6))::double as weight,
        min(timestamp) as first_timestamp,
        max(timestamp) as last_timestamp,
        avg(try_cast(price as decimal(18, 6))) as mean_price
    from seen
    group by user_id
),

user_items as (
    select user_id, item_id from seen group by user_id, item_id
),

breadths as (
    select user_id, count(*) as num_items from user_items group by user_id
),

user_sessions as (
    select user_id, session_id from seen where session_id is not null group by user_id, session_id
),

visits as (
    select user_id, count(*) as num_sessions from user_sessions group by user_id
),

final as (
    select
        volumes.user_id,
        volumes.num_events,
        volumes.num_evidence,
        volumes.num_targets,
        breadths.num_items,
        coalesce(visits.num_sessions, 0) as num_sessions,
        volumes.weight,
        volumes.first_timestamp,
        volumes.last_timestamp,
        (epoch_us($cut_off) - epoch_us(volumes.last_timestamp)) / 86400000000 as days_since_last,
        case
            when volumes.num_events > 1
                then (epoch_us(volumes.last_timestamp) - epoch_us(volumes.first_timestamp))
                    / 86400000000 / (volumes.num_events - 1)
        end as mean_gap_days,
        volumes.mean_price
    from volumes
    inner join breadths on volumes.user_id = breadths.user_id
    left join visits on volumes.user_id = visits.user_id
)

select * from final
order by user_id
