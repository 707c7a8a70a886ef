-- Statements that could tell a masked value otherwise, one a line: each is refused. The tests of `pipeline/mask` judge them,
-- and those of `tests/it` send them.
select lower(email) from users
select email::text from users
select (email) from users
select email || '' from users
select email collate "C" from users
select 'x' || email as email from users
select case when email = 'a' then 1 end from users
select coalesce(email, 'x') from users
select array[email] from users
select row(email) from users
select max(email) from users
select count(email) from users
select count(distinct email) from users
select count(*) filter (where email like 'a%') from users
select rank() over (order by email) from users
select sum(1) over w from users window w as (partition by ssn)
select distinct email from users
select distinct * from users
select distinct on (email) id from users
select id from users where email = 'a'
select id from users where users.email like 'a%'
select id from users u where u.ssn is null
select id from users order by email
select email as e from users order by e
select id, email from users order by 2
select id, email from users group by 1, 2
(select email from users) order by 1
select id from users group by email, id
select id from users group by id having max(email) > 'a'
select id from users u join orders o on o.mail = u.email
select id from users join orders using (email)
select id from users natural join orders
select e from (select email as e from users) s
select e from (select email from users) s(e)
select a from users as u(a, b)
with c(a) as (select email from users) select a from c
with c as (select email as a from users) select a from c
with recursive c as (select email from users union all select email from c) select email from c
select (select email from users limit 1)
select (select email from users limit 1) as email
select array(select email from users)
select id from orders where mail in (select email from users)
select id from orders where mail = any (select email from users)
select 1 from orders where (1, 'a') in (select * from users)
select id from orders where row(1, 'a') = (table users)
select array(table users)
select exists (select email from users intersect select 'a')
select exists (select * from users intersect table staging)
select exists (select 1 from users where email = 'a')
select name from orders union select email from users
select email from users union select name from orders
table users union table staging
select * from users except select * from staging
select u from users u
select users from users
select u::text from users u
select (u).email from users u
select (u).* from users u
select row_to_json(u) from users u
select to_jsonb(users) from users
select u.row_to_json from users u
select u.to_jsonb -> 'email' from users u
select s.to_json from (select * from users) s
select s from (select * from users) s
with c as (select * from users) select c from c
select id from users u where u = row(1, 'a')
select count(u) from users u
select count(u.*) from users u
select row(u.*) from users u
select u.* is null from users u
select u.*::text from users u
select string_agg(u::text, ',') from users u
select id from users order by users
select j.key from users u, lateral json_each(to_json(u)) j
select x.email from users u, lateral (select u.email as email, 1 where u.email > 'a') x
insert into leak select * from users
insert into leak select email from users
insert into leak (a) select u.email from users u
insert into leak table users
insert into users (id, email) values (1, 'a') on conflict (email) do update set id = 2 returning id
insert into users (id) values (1) on conflict on constraint users_email_key do update set id = 2 returning id
insert into users (id, email) values (1, 'a') on conflict (id) do update set name = excluded.email
update users set name = email
update users set (name, id) = (select email, 1 from users limit 1)
update orders set note = u.email from users u where u.id = 1
update users set email = email || 'x'
delete from users where email = 'a'
delete from orders using users u where u.email = orders.mail
update users set id = 1 returning old
update users set id = 1 returning with (old as o) o
update users set id = 1 returning lower(old.email)
merge into orders o using users u on o.id = u.id when matched then update set note = u.email
merge into users u using staging s on s.id = u.id when matched then update set name = s.name
create table leak as select id from users
create materialized view leak as select * from users
create view leak as select email as e from users
select email into leak from users
select * into leak from users
declare c cursor for select email from users
declare c cursor for table users
copy users to stdout
copy users (email) to stdout
copy (select email from users) to stdout
copy (table users) to stdout
copy (delete from users returning email) to stdout
alter table users rename column email to e
alter table users rename to u
alter table users inherit mine
create index on users (email)
create rule r as on delete to orders do also select email from users
values ((select email from users limit 1))
explain select id from users where email = 'a'
explain analyze create table leak as select * from users
select xmlelement(name a, email) from users
select json_object('a': email) from users
select extract(year from email) from users
select email isnull from users
select email is distinct from 'a' from users
select email at time zone 'utc' from users
select email[1] from users
select u.email.x from users u, email where (email).x = 1
select "email" || U&"s\0073n" from users
select id from users where exists (select 1 from users v where v.email > users.email)
select u.id from users u left join lateral (select 1 as one where u.email like 'k%') l on true where l.one = 1
select id from users limit (select count(*) from users where email like 'k%')
select id from users offset (select length(email) from users limit 1)
select id from users fetch first (select 1 from users where email like 'k%' limit 1) rows only
select nullif(id, (select 1 from users where email like 'k%' limit 1)) from users
select id from (select * from users order by email) s
select id from (select * from users order by email limit 1) s
with c as (select * from users order by ssn desc limit 1) select id from c
select s.id from users u join (select * from users) s on s.email > u.email
select id from users tablesample bernoulli ((select length(email) from users limit 1))
select concat(u.*) from users u
select format('%s', u) from users u
select u.concat from users u
select md5(u::text) from users u
select hashtext(email) from users
select u.hash_record from users u
select unnest(array[email]) from users
select x from users, unnest(array[email, ssn]) x
select x.* from users, json_to_record(json_build_object('a', email)) as x(a text)
select u2.email from users u2 (email)
select email from (values ((select email from users limit 1))) v(email)
select email as id from users order by id, email
select case when u is null then 1 end from users u
select u.email = any (array['a']) from users u
select not (email = 'a') from users
select email, count(*) from users group by email
select ssn from users group by ssn
select first_value(email) over () from users
select id from users u group by u.id, u.email
select id from users group by cube (ssn, id)
select ntile(2) over (partition by email) from users
update users set id = length(email)
update users set id = id + 1 where email like 'k%' returning id
update users u set id = s.id from (select * from users) s where s.email > u.email returning u.id
delete from users using (table users) s where s.email = users.email returning users.id
insert into mine select id, email from users
insert into mine (note) select coalesce(u.email, '') from users u returning note
insert into mine (id, note) values (7, (select email from users limit 1)) returning note
insert into mine (id, note) values (7, 'x') on conflict (id) do update set note = (select email from users limit 1) returning note
insert into users (id, email) select 77, email from staging on conflict (email) do nothing returning id
with stolen as (insert into mine select id, email from users returning note) select note from stolen
with c as materialized (select * from users) select c.email || '' from c
with recursive c as (select * from users where id = 1 union all select u.* from users u join c on u.id = c.id + 1) select * from c
select users.email from users intersect select 'kolibri1@a.example'
select id from users where (id, email) in ((1, 'kolibri1@a.example'))
select id from users where row(users.*) is not null
select (array_agg(u))[1] from users u
select to_json(array_agg(email)) from users
select json_agg(s) from (select email from users) s
select jsonb_object_agg(id, email) from users
select string_agg(email, ',' order by id) from users
select percentile_disc(0.5) within group (order by email) from users
select grouping(email) from users group by rollup (email)
select row_to_json(s) from (select id, email from users) s
select s.* , s from (select * from users) s
select (select s.email from (select * from users) s limit 1)
select pg_typeof(email) from users
select u from (users u cross join orders o)
select j from (users u cross join orders o) as j
select j.to_jsonb from (users u cross join orders o) as j
select a.b from (select u as b from users u) a
select U&"\0065mail" || '' from users
select "users"."email" || '' from "users"
select e from (select U&"\0065mail" as e from users) s
select id from users where U&"!0065mail" uescape '!' like 'k%'
select email/**/||/**/'' from users
select id from users where email::text = 'a' or true
select id from only users where email = 'a'
select id from users * where email = 'a'
select set_config('x.y', email, false) from users
select pg_notify('c', email) from users
select xmlforest(email) from users
select json_array(email) from users
select * from xmltable('/a' passing (select xmlelement(name a, email) from users limit 1) columns b text path '.')
select greatest(email, 'a') from users
select email between 'a' and 'z' from users
select email similar to 'k%' from users
select email ~ '^k' from users
select email in ('a') from users
select position('k' in email) from users
select substring(email from 1 for 1) from users
select trim(email) from users
select overlay(email placing '' from 1 for 0) from users
select ssn::varchar from users
select cast(email as text) from users
select text(email) from users
select email(u) from users u
select email(users) from users
