-- one row per ordered pair of items: how often the second came within three events after the first, by the same user
-- weight = sum of 1 / distance; it is counted in whole sixths, so that no order of summing changes it. Items are numbered in the order
-- of their ids, since millions of pairs are counted and sorted several times as fast as numbers: pair = 2^31 first + second.
with

evidence as not materialized (
    select user_id, item_id, position
    from interactions
    where weight > 0 and timestamp < $cut_off
),

items as materialized (
    select item_id, (row_number() over (order by item_id))::integer as code
    from (select distinct item_id from evidence)
),

coded as (
    select evidence.user_id, evidence.position, items.code
    from evidence
    inner join items on evidence.item_id = items.item_id
),

followed as (
    select
        code,
        unnest([lead(code, 1) over by_user, lead(code, 2) over by_user, lead(code, 3) over by_user]) as next_code,
        unnest([6, 3, 2]::utinyint[]) as sixths
    from coded
    window by_user as (partition by user_id order by position)
),

counted as (
    select code * 2147483648 + next_code as pair, count(*) as num_pairs, sum(sixths) as num_sixths
    from followed
    where next_code is not null
    group by pair
),

final as (
    select firsts.item_id, nexts.item_id as next_item_id, counted.num_pairs, counted.num_sixths / 6 as weight, counted.pair
    from counted
    inner join items as firsts on counted.pair // 2147483648 = firsts.code
    inner join items as nexts on counted.pair % 2147483648 = nexts.code
)

select * exclude (pair) from final
order by pair
