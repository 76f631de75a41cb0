-- one row per user and item: how often, how strongly and how lately the user came upon it before the cut-off
with

seen as not materialized (
    select user_id, item_id, timestamp, weight::decimal(18, 6) as weight
    from interactions
    where timestamp < $cut_off
),

final as (
    select
        user_id,
        item_id,
        count(*) as num_events,
        sum(weight)::double as weight,
        (epoch_us($cut_off) - epoch_us(max(timestamp))) / 86400000000 as days_since_last
    from seen
    group by user_id, item_id
)

select * from final
order by user_id, item_id
