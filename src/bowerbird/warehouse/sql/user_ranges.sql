-- one row per range of users, in order, each with about $num_rows interactions
with

seen as (
    select user_id from interactions
),

counted as (
    select user_id, count(*) as num_events from seen group by user_id
),

running as (
    select user_id, sum(num_events) over (order by user_id) - num_events as num_before from counted
),

final as (
    select min(user_id) as first_user, max(user_id) as last_user
    from running
    group by num_before // $num_rows
)

select * from final
order by first_user
