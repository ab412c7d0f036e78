"""Limits: gates that let so many through, and the tickets of those who want through. See engine/store/gates.py.

`gate_settle` does everything that changes them, under the locks of the gates it touches, which it takes in the order of
their ids and before those of runs. A run that ends leaves a row in `gate_exit`, in the same transaction, whoever ends
it: so what it held is freed even if that process dies.
"""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.table import Table

ID = "2026-11-24T04:00:07:000000"
VERSION = "1.38.0"
DESCRIPTION = "Limits"

FORWARDS = (
    "alter table run add column gated boolean not null default false",
    """
    create table gate (
        id uuid primary key,
        kind text not null check (kind in ('concurrency', 'rate')),
        scope text not null,
        key text not null,
        most integer not null default 1,
        held integer not null default 0,
        queued integer not null default 0,
        tat timestamptz
    ) with (fillfactor = 50)
    """,
    """
    create table ticket (
        gate_id uuid not null,
        run_id uuid not null,
        step text not null default '',
        number bigint not null generated always as identity,
        kind text not null,
        scope text not null,
        key text not null,
        most integer not null,
        on_limit text not null,
        max_queued integer,
        period float8,
        burst integer,
        held boolean not null default false,
        fresh boolean not null default true,
        refused text,
        refused_by uuid,
        due_at timestamptz not null default '-infinity',
        created_at timestamptz not null default now(),
        primary key (gate_id, run_id, step)
    )
    """,
    "create index ticket_run on ticket (run_id, step)",
    "create index ticket_fresh on ticket (gate_id, number) where fresh",
    "create index ticket_undecided on ticket (due_at) where fresh",
    "create index ticket_queue on ticket (gate_id, number) where not held and not fresh and refused is null",
    "create index ticket_held on ticket (gate_id, number) where held",
    "create table gate_exit (run_id uuid primary key, at timestamptz not null default now())",
    """
    create function gate_leave() returns trigger language plpgsql as $$
    begin
        insert into gate_exit (run_id) values (new.id) on conflict do nothing;
        return null;
    end $$
    """,
    """
    create trigger run_leaves_gates after update of finished_at on run for each row
        when (new.gated and new.finished_at is not null) execute function gate_leave()
    """,
    "create type gate_news as (run_id uuid, step text, gate_id uuid, what text, due_at timestamptz, by uuid)",
    # How people call it.
    """
    create function gate_name(g gate) returns text immutable language sql as $$
        select case when g.kind = 'rate' then 'rate limit' else 'concurrency' end || case
            when g.key <> '' then ' key `' || g.key || '`' when g.scope in ('', '/') then '' else ' of ' || g.scope end
    $$
    """,
    # End a run that has not begun, or ask whoever claims it next to end it: ended | ring | asked.
    """
    create function gate_end(
        p_run uuid, p_type text, p_text text, p_facts jsonb, p_announce boolean, p_slot integer
    ) returns text language plpgsql as $$
    declare
        r record;
    begin
        update run set status = 'cancelled', finished_at = now(), due_at = null, rung_at = null, waiting_for = null,
            error = json_build_object('type', p_type, 'message', p_text, 'data', p_facts)
        where id = p_run and finished_at is null and worker is null and turn = 0
        returning event_id, pipeline, trigger, replay_of into r;
        if found then
            insert into tally (hour, status, slot, runs)
            values (date_trunc('hour', now(), 'UTC'), 'cancelled', p_slot, 1)
            on conflict (hour, status, slot) do update set runs = tally.runs + 1;
            if p_announce then
                insert into announcement (run_id, owed_at) values (p_run, now()) on conflict do nothing;
            end if;
            if r.replay_of is null and r.event_id is not null then
                update decision set matched = false, reason = p_type, detail = (detail::jsonb || p_facts
                    || jsonb_build_object('run', p_run, 'why', p_text))::json
                where event_id = r.event_id and pipeline = r.pipeline and trigger = r.trigger;
            end if;
            return 'ended';
        end if;
        update run set cancel_requested = true, message = p_text, waiting_for = null,
            status = case when worker is null then 'queued' else status end,
            due_at = case when worker is null then now() end,
            rung_at = case when worker is null then now() end
        where id = p_run and finished_at is null and not cancel_requested
        returning worker is null as free into r;
        return case when r.free then 'ring' else 'asked' end;
    end $$
    """,
    # Let a run begin, or one of its steps look again: ring | later (somebody has it, or it is not due). Null: it is over.
    """
    create function gate_start(p_run uuid, p_step text, p_due timestamptz) returns text language plpgsql as $$
    declare
        free boolean;
    begin
        update run set woken = woken or p_step <> '',
            due_at = case when worker is null then p_due end,
            rung_at = case when worker is null and p_due <= now() then now() end,
            waiting_for = case when p_step <> '' then waiting_for end
        where id = p_run and finished_at is null
        returning worker is null into free;
        return case when not found then null when free and p_due <= now() then 'ring' else 'later' end;
    end $$
    """,
    # Refuse a ticket: a run that has not begun ends with it, a step learns of it when it looks.
    """
    create function gate_refuse(
        t ticket, p_type text, p_text text, p_facts jsonb, p_by uuid, p_announce boolean, p_slot integer
    ) returns gate_news language plpgsql as $$
    declare
        became text;
    begin
        if t.step = '' then
            became := gate_end(t.run_id, p_type, p_text, p_facts, p_announce, p_slot);
            delete from ticket where run_id = t.run_id and step = ''
                and (became = 'ended' or not (held and kind = 'concurrency'));
            delete from gate_exit where run_id = t.run_id;
        else
            update ticket set fresh = false, refused = p_type, refused_by = p_by
            where gate_id = t.gate_id and run_id = t.run_id and step = t.step;
            became := case when not t.fresh then gate_start(t.run_id, t.step, now()) end;
        end if;
        return (t.run_id, t.step, t.gate_id, became, null, p_by)::gate_news;
    end $$
    """,
    # Decide on the fresh tickets of a rate limit: each gets the time at which it may start (GCRA), or is refused.
    """
    create function gate_pace(g gate, p_at timestamptz, p_announce boolean, p_slot integer) returns setof gate_news
    language plpgsql as $$
    declare
        t ticket%rowtype;
        other ticket%rowtype;
        name text := gate_name(g);
        pace float8;
        starts timestamptz;
        ahead integer;
        why text;
    begin
        for t in select * from ticket where gate_id = g.id and fresh and due_at <= p_at order by number loop
            g.most := t.most;
            pace := t.period / t.most;
            starts := greatest(p_at, g.tat - make_interval(secs => (coalesce(t.burst, t.most) - 1) * pace));
            ahead := ceil(extract(epoch from starts - p_at) / pace - 1e-6) - 1;
            other := null;
            if starts > p_at and t.on_limit = 'keep_latest' then
                select * into other from ticket where gate_id = g.id and held and due_at > p_at and refused is null
                    order by number desc limit 1;
            elsif starts > p_at and (t.on_limit <> 'queue' or ahead >= t.max_queued) then
                why := format('dropped: %s in %s s by %s, and %s', t.most, t.period, name, case
                    when t.on_limit = 'queue' then t.max_queued || ' may wait' else '`on_limit` is `drop`' end);
                return next gate_refuse(t, 'dropped', why,
                    jsonb_build_object('limit', name, 'most', t.most, 'period', t.period), null, p_announce, p_slot);
                continue;
            end if;
            if other.run_id is not null then
                starts := other.due_at;
                why := format('superseded: run %s took its place in %s', t.run_id, name);
                return next gate_refuse(other, 'superseded', why,
                    jsonb_build_object('limit', name, 'by', t.run_id), t.run_id, p_announce, p_slot);
            else
                g.tat := greatest(p_at, coalesce(g.tat, p_at)) + make_interval(secs => pace);
            end if;
            update ticket set fresh = false, held = true, due_at = starts
            where gate_id = g.id and run_id = t.run_id and step = t.step;
            if t.step <> '' then
                continue;
            end if;
            update ticket set due_at = greatest(starts, p_at)
            where run_id = t.run_id and step = '' and kind = 'concurrency' and fresh;
            if not found then
                return next (t.run_id, '', g.id, gate_start(t.run_id, '', case when starts > p_at then starts
                    else now() end), starts, null)::gate_news;
            end if;
            if starts > p_at then
                update run set waiting_for = format('its turn in %s (%s in %s s)', name, t.most, t.period)
                where id = t.run_id and finished_at is null and worker is null;
            end if;
        end loop;
        update gate set most = g.most, tat = g.tat where id = g.id;
    end $$
    """,
    # Give free slots to those who wait, in order; decide on fresh tickets, in order.
    """
    create function gate_admit(g gate, p_at timestamptz, p_announce boolean, p_slot integer) returns setof gate_news
    language plpgsql as $$
    declare
        t ticket%rowtype;
        other ticket%rowtype;
        news gate_news;
        name text := gate_name(g);
        why text;
    begin
        loop
            while g.queued > 0 and g.held < g.most loop
                select * into t from ticket
                where gate_id = g.id and not held and not fresh and refused is null order by number limit 1;
                if not found then
                    g.queued := 0;
                    exit;
                end if;
                g.queued := g.queued - 1;
                news := (t.run_id, t.step, g.id, gate_start(t.run_id, t.step, now()), null, null)::gate_news;
                if news.what is null then
                    delete from ticket where gate_id = g.id and run_id = t.run_id and step = t.step;
                else
                    update ticket set held = true where gate_id = g.id and run_id = t.run_id and step = t.step;
                    g.held := g.held + 1;
                    return next news;
                end if;
            end loop;

            select * into t from ticket
            where gate_id = g.id and fresh and due_at <= p_at and not exists (
                select from ticket as r where r.run_id = ticket.run_id and r.step = '' and ticket.step = ''
                    and r.kind = 'rate' and r.fresh)
            order by number limit 1;
            exit when not found;
            if t.most <> g.most then  -- the newest decides, and those who wait may go first
                g.most := t.most;
                continue;
            end if;

            if t.on_limit = 'cancel_running' then  -- the newest win: this one, and as many before it as fit
                why := format('superseded: run %s took its place in %s', t.run_id, name);
                for other in
                    select * from ticket where gate_id = g.id and not fresh and refused is null
                    order by number desc offset g.most - 1
                loop
                    news := gate_refuse(other, 'superseded', why, jsonb_build_object('limit', name, 'by', t.run_id),
                        t.run_id, p_announce, p_slot);
                    if not other.held then
                        g.queued := g.queued - 1;
                    elsif news.what = 'ended' then
                        g.held := g.held - 1;
                    end if;
                    return next news;
                end loop;
            elsif t.on_limit = 'keep_latest' and g.held >= g.most then
                why := format('superseded: run %s took its place in %s', t.run_id, name);
                for other in
                    select * from ticket where gate_id = g.id and not held and not fresh and refused is null
                loop
                    g.queued := g.queued - 1;
                    return next gate_refuse(other, 'superseded', why,
                        jsonb_build_object('limit', name, 'by', t.run_id), t.run_id, p_announce, p_slot);
                end loop;
            end if;

            if g.held < g.most then
                news := (t.run_id, t.step, g.id, 'later', null, null)::gate_news;
                if t.step = '' then
                    news.what := gate_start(t.run_id, '', now());
                end if;
                if news.what is null then
                    delete from ticket where gate_id = g.id and run_id = t.run_id and step = t.step;
                    continue;
                end if;
                update ticket set fresh = false, held = true
                where gate_id = g.id and run_id = t.run_id and step = t.step;
                g.held := g.held + 1;
                return next news;
            elsif t.on_limit = 'drop' or (t.on_limit = 'queue' and g.queued >= t.max_queued) then
                select * into other from ticket where gate_id = g.id and held order by number limit 1;
                why := format('dropped: %s at a time by %s, held by run %s, and %s', t.most, name, other.run_id, case
                    when t.on_limit = 'queue' then t.max_queued || ' may wait' else '`on_limit` is `drop`' end);
                return next gate_refuse(t, 'dropped', why,
                    jsonb_build_object('limit', name, 'most', t.most, 'by', other.run_id), other.run_id, p_announce,
                    p_slot);
            else
                update ticket set fresh = false where gate_id = g.id and run_id = t.run_id and step = t.step;
                g.queued := g.queued + 1;
                if t.step = '' then
                    update run set waiting_for = format('a slot of %s (%s at a time)', name, t.most)
                    where id = t.run_id and finished_at is null and worker is null;
                end if;
            end if;
        end loop;
        update gate set most = g.most, held = g.held, queued = g.queued where id = g.id;
    end $$
    """,
    # Count anew, for what cannot happen by itself.
    """
    create function gate_recount(
        p_gates uuid[], p_announce boolean, p_slot integer
    ) returns setof gate_news language plpgsql as $$
    declare
        g gate%rowtype;
    begin
        perform from gate where id = any(p_gates) order by id for update;
        update gate set
            held = (select count(*) from ticket where gate_id = gate.id and ticket.held),
            queued = (select count(*) from ticket
                where gate_id = gate.id and not ticket.held and not fresh and refused is null)
        where id = any(p_gates);
        for g in select * from gate where id = any(p_gates) and kind = 'concurrency' order by id loop
            return query select * from gate_admit(g, now(), p_announce, p_slot);
        end loop;
    end $$
    """,
    # e_*: tickets that steps want, or have already. p_fresh: runs whose tickets are to be decided on. p_over: runs that
    # have ended. l_*: tickets that steps give back. In the answer, after what has happened to anybody, the e_* again.
    """
    create function gate_settle(
        e_runs uuid[], e_turns integer[], e_steps text[], e_gates uuid[], e_kinds text[], e_scopes text[],
        e_keys text[], e_most integer[], e_on_limit text[], e_max_queued integer[], e_periods float8[],
        e_bursts integer[], p_fresh uuid[], p_over uuid[], l_runs uuid[], l_turns integer[], l_steps text[],
        p_at timestamptz, p_announce boolean, p_slot integer
    ) returns setof gate_news language plpgsql as $$
    declare
        names uuid[];
        locked integer;
        g gate%rowtype;
    begin
        insert into ticket (gate_id, run_id, step, kind, scope, key, most, on_limit, max_queued, period, burst)
        select e.gate_id, e.run_id, e.step, e.kind, e.scope, e.key, e.most, e.on_limit, e.max_queued, e.period, e.burst
        from unnest(e_runs, e_turns, e_steps, e_gates, e_kinds, e_scopes, e_keys, e_most, e_on_limit, e_max_queued,
            e_periods, e_bursts) with ordinality as e (run_id, turn, step, gate_id, kind, scope, key, most, on_limit,
            max_queued, period, burst, number)
        join run on run.id = e.run_id and run.turn = e.turn and run.worker is not null
        order by e.number
        on conflict (gate_id, run_id, step) do nothing;

        loop
            names := array(
                select ticket.gate_id from ticket where ticket.run_id = any(p_fresh) and fresh
                union select ticket.gate_id from ticket where ticket.run_id = any(p_over)
                union select ticket.gate_id from unnest(l_runs, l_steps) as l (run_id, step)
                    join ticket on ticket.run_id = l.run_id and ticket.step = l.step
                union select e.id from unnest(e_gates) as e (id)
                    where exists (select from ticket where ticket.gate_id = e.id and fresh)
            );
            insert into gate (id, kind, scope, key)
            select n.id, first.kind, first.scope, first.key from unnest(names) as n (id),
                lateral (select kind, scope, key from ticket where ticket.gate_id = n.id limit 1) as first
            where not exists (select from gate where gate.id = n.id)
            order by n.id
            on conflict (id) do nothing;
            perform from gate where id = any(names) order by id for update;
            get diagnostics locked = row_count;
            exit when locked = cardinality(names);  -- else an idle one has just been swept away
        end loop;

        with gone as (
            delete from ticket using unnest(p_over) as o (id)
            where ticket.run_id = o.id and ticket.gate_id = any(names)
                and not exists (select from run where run.id = o.id and run.finished_at is null)
            returning ticket.gate_id, held, fresh, refused
        ), given_back as (
            delete from ticket using unnest(l_runs, l_turns, l_steps) as l (run_id, turn, step)
            where ticket.run_id = l.run_id and ticket.step = l.step and ticket.gate_id = any(names)
                and exists (select from run where run.id = l.run_id and run.turn = l.turn)
                and ticket.run_id <> all(p_over)
            returning ticket.gate_id, held, fresh, refused
        ), freed as (
            select gate_id, count(*) filter (where held) as held,
                count(*) filter (where not held and not fresh and refused is null) as queued
            from (select * from gone union all select * from given_back) as tickets group by gate_id
        )
        update gate set held = gate.held - freed.held, queued = gate.queued - freed.queued from freed
        where gate.id = freed.gate_id and gate.kind = 'concurrency';
        delete from gate_exit where gate_exit.run_id = any(p_over)
            and not exists (select from ticket where ticket.run_id = gate_exit.run_id);

        for g in select * from gate where id = any(names) order by kind desc, id loop
            if g.kind = 'rate' then
                return query select * from gate_pace(g, coalesce(p_at, now()), p_announce, p_slot);
            else
                return query select * from gate_admit(g, coalesce(p_at, now()), p_announce, p_slot);
            end if;
        end loop;

        update run set gated = true where id = any(e_runs) and not gated;
        return query select ticket.run_id, ticket.step, ticket.gate_id, case
            when refused is not null then refused when held then 'held' else 'queued' end, ticket.due_at, refused_by
        from unnest(e_runs, e_steps, e_gates) as e (run_id, step, gate_id)
        join ticket on ticket.gate_id = e.gate_id and ticket.run_id = e.run_id and ticket.step = e.step;
    end $$
    """,
)


class Raw(Table):
    """Gives access to raw()."""


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="engine", description=DESCRIPTION)

    async def run():
        for statement in FORWARDS:
            await Raw.raw(statement.replace("{", "{{").replace("}", "}}"))

    manager.add_raw(run)
    return manager
