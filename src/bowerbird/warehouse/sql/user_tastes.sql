-- one row per user and category: which part of the user's evidence before the cut-off lies in it
-- An item of several categories counts for each, so the shares of a user may add up to more than 1.
with

evidence as not materialized (
    select user_id, item_id, weight::decimal(18, 6) as weight
    from interactions
    where weight > 0 and timestamp < $cut_off
),

item_categories as (
    select item_id, unnest(list_distinct(categories)) as category from catalogue
),

totals as (
    select user_id, sum(weight) as weight from evidence group by user_id
),

by_category as (
    select evidence.user_id, item_categories.category, sum(evidence.weight) as weight
    from evidence
    inner join item_categories on evidence.item_id = item_categories.item_id
    group by evidence.user_id, item_categories.category
),

final as (
    select by_category.user_id, by_category.category, by_category.weight::double / totals.weight::double as share
    from by_category
    inner join totals on by_category.user_id = totals.user_id
    where totals.weight > 0
)

select * from final
order by user_id, category
