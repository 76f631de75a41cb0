-- one row per item that was seen or stood in the catalogue before the cut-off
with

seen as not materialized (
    select * from interactions where timestamp < $cut_off
),

known_items as (
    select * from catalogue where created_at is null or created_at < $cut_off
),

volumes as (
    select
        item_id,
        count(*) as num_events,
        count(*) filter (weight > 0) as num_evidence,
        count(*) filter (is_target) as num_targets,
        sum(weight::decimal(18, 6))::double as weight,
        min(timestamp) as first_timestamp,
        max(timestamp) as last_timestamp,
        avg(try_cast(price as decimal(18, 6))) as mean_price
    from seen
    group by item_id
),

item_users as (
    select item_id, user_id from seen group by item_id, user_id
),

audiences as (
    select item_id, count(*) as num_users from item_users group by item_id
),

final as (
    select
        coalesce(volumes.item_id, known_items.item_id) as item_id,
        known_items.item_id is not null as has_catalogue,
        known_items.title,
        known_items.categories,
        known_items.price,
        known_items.created_at,
        (epoch_us($cut_off) - epoch_us(coalesce(known_items.created_at, volumes.first_timestamp))) / 86400000000 as age_days,
        coalesce(volumes.num_events, 0) as num_events,
        coalesce(volumes.num_evidence, 0) as num_evidence,
        coalesce(volumes.num_targets, 0) as num_targets,
        coalesce(audiences.num_users, 0) as num_users,
        coalesce(volumes.weight, 0) as weight,
        volumes.first_timestamp,
        volumes.last_timestamp,
        volumes.mean_price
    from known_items
    full outer join volumes on known_items.item_id = volumes.item_id
    left join audiences on volumes.item_id = audiences.item_id
)

select * from final
order by item_id
