-- one row per event type of the new rows; late are those before the newest row of the table
with
newest as (
    select max(timestamp) as timestamp from stored
),
final as (
    select
        event,
        count(*) as num_new,
        count(*) filter (where candidates.timestamp < newest.timestamp) as num_late
    from candidates
    cross join newest
    anti join known using (file, source_row)
    where is_first
    group by event
)
select * from final order by event
