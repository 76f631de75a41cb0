-- one row per item of the impressions that a list of $k can be put beside, numbered from 0 in the order in which they come first
with

kept as (
    select item_id, window_number, place from shown where position <= $k and user_id is not null
),

firsts as (
    select item_id, min((window_number, place)) as first from kept
    group by item_id
),

final as (
    select item_id, row_number() over (order by first) - 1 as number from firsts
)

select * from final
order by number
