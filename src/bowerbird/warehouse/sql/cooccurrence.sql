-- one row per ordered pair of items: how often the second came within three events after the first, by the same user
-- weight = sum of 1 / distance; it is counted in whole sixths, so that no order of summing changes it.
with

evidence as (
    select user_id, item_id, position
    from interactions
    where weight > 0 and timestamp < $cut_off
),

followed as (
    select
        item_id,
        unnest([
            {'next_item_id': lead(item_id, 1) over by_user, 'sixths': 6},
            {'next_item_id': lead(item_id, 2) over by_user, 'sixths': 3},
            {'next_item_id': lead(item_id, 3) over by_user, 'sixths': 2}
        ], recursive := true)
    from evidence
    window by_user as (partition by user_id order by position)
),

final as (
    select item_id, next_item_id, count(*) as num_pairs, sum(sixths) / 6 as weight
    from followed
    where next_item_id is not null
    group by item_id, next_item_id
)

select * from final
order by item_id, next_item_id
