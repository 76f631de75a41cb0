-- one row per check of a recommendation set: how many users or rows break it, and what a user who breaks it is called
with
reachable as (
    select distinct item_id
    from events
    where not list_contains($cancel_events, event)
        and (not $is_restricted or item_id in (select item_id from allowed))
),

excluded as (
    select distinct user_id, item_id from events where list_contains($exclude_events, event)
),

places as (
    select
        user_id,
        item_id,
        score,
        rank,
        source,
        lag(score) over (partition by user_id, source order by rank, item_id) as score_above
    from lists
),

users as (
    select
        user_id,
        count(*) as num_rows,
        count(distinct item_id) as num_items,
        count(distinct rank) as num_ranks,
        min(rank) as first_rank,
        max(rank) as last_rank
    from lists
    group by user_id
),

withheld as (
    select user_id, count(*) as num_items from excluded where item_id in (select item_id from reachable) group by user_id
),

lengths as (
    select
        users.user_id,
        users.num_rows,
        greatest(least($k, (select count(*) from reachable) - coalesce(withheld.num_items, 0)), 0) as num_due
    from users
    left join withheld on users.user_id = withheld.user_id
),

failures as (
    select 1 as place, user_id
    from users
    where first_rank <> 1 or last_rank <> num_rows or num_ranks <> num_rows or first_rank is null
    union all
    select 2, user_id from users where num_items <> num_rows
    union all
    select 3, user_id from lengths where num_rows < num_due or num_rows > $k
    union all
    select 4, user_id
    from lists
    where $is_restricted and (item_id is null or item_id not in (select item_id from allowed))
    union all
    select 5, user_id from lists semi join excluded using (user_id, item_id)
    union all
    select 6, user_id from lists where not coalesce(isfinite(score), false)
    union all
    select 7, user_id from places where score > score_above
    union all
    select 8, coalesce(user_id, 'nobody') as user_id
    from lists
    where user_id is null or item_id is null or source is null
),

checks as (
    select unnest([
        {'place': 1, 'name': 'ranks run from 1 without gaps'},
        {'place': 2, 'name': 'the items of a list differ'},
        {'place': 3, 'name': 'lists are as long as the catalogue allows'},
        {'place': 4, 'name': 'items may be recommended'},
        {'place': 5, 'name': 'nothing is recommended that is excluded'},
        {'place': 6, 'name': 'scores are finite'},
        {'place': 7, 'name': 'scores fall within user and source'},
        {'place': 8, 'name': 'user, item and source are named'}
    ], recursive := true)
),

final as (
    select checks.place, checks.name, count(failures.user_id) as failures, min(failures.user_id) as example
    from checks
    left join failures on checks.place = failures.place
    group by checks.place, checks.name
)

select name, failures, example from final order by place
