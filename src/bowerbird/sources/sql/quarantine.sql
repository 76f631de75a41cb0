-- one row per rejected row that the quarantine does not hold yet
-- row_key: the row's content and its ordinal among the equal rows of its file, so the same row comes in once
with
rejected as (
    select
        file,
        source_row,
        list_filter($names, lambda name, place: (broken >> (place - 1)::integer) & 1 = 1) as broken_rules,
        raw,
        row_number() over (partition by file, raw order by source_row) as ordinal
    from staged
    where broken <> 0
),
keyed as (
    select
        $run_id as run_id,
        $table as "table",
        $files[file + 1] as source_file,
        source_row,
        broken_rules[1] as reason,
        list_filter(broken_rules, lambda name, place: place = 1 or name <> broken_rules[place - 1]) as reasons,
        raw,
        md5(concat(raw, '#', ordinal)) as row_key
    from rejected
),
held as (
    select row_key from quarantine where "table" = $table
),
final as (
    select * from keyed anti join held using (row_key)
)
select * from final
