-- one row: how many impressions were shown, and what there is of those that a list of $k can be put beside
with

final as (
    select
        count(*) as num,
        count(user_id) as num_with_user,
        count(*) filter (position <= $k and user_id is not null) as num_kept,
        count(distinct user_id) filter (position <= $k) as num_users,
        min(propensity) filter (position <= $k and user_id is not null) as least
    from shown
)

select * from final
