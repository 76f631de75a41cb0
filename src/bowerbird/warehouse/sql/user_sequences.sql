-- one row per user from $first_user to $last_user: the items, oldest event first, that there is evidence for
-- Lists cannot spill to disk, so users come range by range.
with

evidence as (
    select user_id, item_id, event, timestamp, position
    from interactions
    where weight > 0 and timestamp < $cut_off and user_id between $first_user and $last_user
),

final as (
    select
        user_id,
        list(item_id order by position) as item_ids,
        list(event order by position) as events,
        list(timestamp order by position) as timestamps
    from evidence
    group by user_id
)

select * from final
order by user_id
