-- one row per impression that a list of $k can be put beside, users and items by number, those of $block users together
with

kept as (
    select * from shown where position <= $k and user_id is not null
),

final as (
    select
        kept.window_number,
        impression_users.number as user_number,
        impression_items.number as item_number,
        kept.position - 1 as position,
        kept.click::double as click,
        kept.propensity::double as propensity,
        kept.place
    from kept
    inner join impression_users using (user_id)
    inner join impression_items using (item_id)
)

select * exclude (place) from final
order by window_number, user_number // $block, place
