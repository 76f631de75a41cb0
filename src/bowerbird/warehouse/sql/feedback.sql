-- Logged impressions of a window. One row per impression, in the order of the table.
-- There is no order by: DuckDB keeps the order of the files, which the table's version fixes.
select
    user_id,
    item_id,
    position,
    click,
    propensity
from feedback
where timestamp >= $start
    and timestamp < $end
