-- one row per event that is new to the table
with final as (
    select
        replace(identity::varchar, '-', '') as event_id,
        candidates.* exclude (file, broken, identity, is_first, raw),
        $files[file + 1] as source_file,
        $run_id as run_id
    from candidates
    anti join known using (file, source_row)
    where is_first
)
select * from final
