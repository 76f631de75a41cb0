-- one row per accepted row whose event is in the table already
create or replace temp table known as
with final as (
    select file, source_row
    from candidates
    where is_first and identity in (select event_id::uuid from stored)
)
select * from final
