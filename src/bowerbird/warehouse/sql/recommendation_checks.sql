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
        propensity,
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

-- quotas: how often a list holds a value, and which values it cannot hold again
held as (
    select
        lists.user_id,
        quotas.quota || '=' || quotas.value as value,
        any_value(quotas.most) as most,
        count(*) as num_items,
        count(*) filter (where lists.source = $pinned) as num_pinned
    from lists
    inner join quotas on lists.item_id = quotas.item_id
    where quotas.value is not null
    group by lists.user_id, quotas.quota, quotas.value
),

short as (
    select
        lengths.user_id,
        coalesce(list(held.value) filter (where held.num_items >= held.most), []) as full_values
    from lengths
    left join held on lengths.user_id = held.user_id
    where lengths.num_rows < lengths.num_due
    group by lengths.user_id
),

-- items that no quota tells apart are counted together
shelves as (
    select
        reachable.item_id,
        coalesce(
            list(quotas.quota || '=' || quotas.value order by quotas.quota, quotas.value) filter (where quotas.value is not null),
            []
        ) as shelf
    from reachable
    left join quotas on reachable.item_id = quotas.item_id
    group by reachable.item_id
),

shelf_sizes as (
    select shelf, count(*) as num_items from shelves group by shelf
),

taken as (
    select gone.user_id, shelves.shelf, count(*) as num_items
    from (
        select user_id, item_id from lists
        union
        select user_id, item_id from excluded
    ) as gone
    semi join short on gone.user_id = short.user_id
    inner join shelves on gone.item_id = shelves.item_id
    group by gone.user_id, shelves.shelf
),

too_short as (
    select short.user_id
    from short
    inner join shelf_sizes on not list_has_any(shelf_sizes.shelf, short.full_values)
    left join taken on short.user_id = taken.user_id and shelf_sizes.shelf = taken.shelf
    group by short.user_id
    having sum(shelf_sizes.num_items - coalesce(taken.num_items, 0)) > 0
),

-- pins: those that apply to a user, and of these the first at a place or of an item
applying as (
    select users.user_id, users.num_rows, pins.ordinal, pins.item_id, pins.place
    from users
    inner join pins on pins.user_id is null or pins.user_id = users.user_id
    anti join excluded on users.user_id = excluded.user_id and pins.item_id = excluded.item_id
    where not $is_restricted or pins.item_id in (select item_id from allowed)
),

in_force as (
    select applying.*
    from applying
    anti join applying as earlier on
        applying.user_id = earlier.user_id
        and applying.ordinal > earlier.ordinal
        and (applying.place = earlier.place or applying.item_id = earlier.item_id)
),

failures as (
    select 1 as place, user_id
    from users
    where first_rank <> 1 or last_rank <> num_rows or num_ranks <> num_rows or first_rank is null
    union all
    select 2, user_id from users where num_items <> num_rows
    union all
    select 3, user_id from too_short
    union all
    select 3, user_id from lengths where num_rows > $k
    union all
    select 4, user_id
    from lists
    where $is_restricted and (item_id is null or item_id not in (select item_id from allowed))
    union all
    select 5, user_id from lists semi join excluded using (user_id, item_id)
    union all
    select 6, user_id from lists where not coalesce(isfinite(score), false)
    union all
    select 7, user_id from places where score > score_above and not $is_reordered
    union all
    select 8, coalesce(user_id, 'nobody') as user_id
    from lists
    where user_id is null or item_id is null or source is null
    union all
    select 9, user_id from held where num_items > greatest(most, num_pinned)
    union all
    select 10, in_force.user_id
    from in_force
    left join lists on in_force.user_id = lists.user_id and in_force.item_id = lists.item_id
    where lists.rank is null or lists.rank > in_force.place or (in_force.num_rows >= $k and lists.rank <> in_force.place)
    union all
    select 11, user_id
    from places
    where case when $is_explored then not coalesce(propensity > 0 and propensity <= 1, false) else propensity is not null end
),

checks as (
    select unnest([
        {'place': 1, 'name': 'ranks run from 1 without gaps'},
        {'place': 2, 'name': 'the items of a list differ'},
        {'place': 3, 'name': 'lists are as long as the catalogue allows'},
        {'place': 4, 'name': 'items may be recommended'},
        {'place': 5, 'name': 'nothing is recommended that is excluded'},
        {'place': 6, 'name': 'scores are finite'},
        {'place': 7, 'name': 'scores fall within user and source where no rule reorders'},
        {'place': 8, 'name': 'user, item and source are named'},
        {'place': 9, 'name': 'quotas are kept'},
        {'place': 10, 'name': 'pins stand in their places'},
        {'place': 11, 'name': 'propensities stand where chance decides'}
    ], recursive := true)
),

final as (
    select checks.place, checks.name, count(failures.user_id) as failures, min(failures.user_id) as example
    from checks
    left join failures on checks.place = failures.place
    group by checks.place, checks.name
)

select name, failures, example from final order by place
