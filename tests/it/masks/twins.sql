CREATE SCHEMA TWIN;
SET search_path = TWIN;
CREATE TABLE users (
    id int PRIMARY KEY,
    name text NOT NULL,
    email varchar(80) CONSTRAINT users_email_key UNIQUE,
    ssn char(14),
    tall int NOT NULL CHECK (tall > 0)
);
INSERT INTO users SELECT n, 'name ' || n, 'BIRD' || (n * length('BIRD') % 11) || '@example.org', left(md5('BIRD' || n / (length('BIRD') - 6)), 14), 150 + n
    FROM generate_series(1, 9) AS n;
CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users ON DELETE SET NULL, mail text, note text);
INSERT INTO orders SELECT n, n % 9 + 1, 'mail ' || n, 'note ' || n FROM generate_series(1, 20) AS n;
CREATE TABLE staging (id int, name text, email text, ssn text, tall int);
INSERT INTO staging VALUES (101, 'new', 'new@example.org', '1', 160);
CREATE TABLE companies (id int PRIMARY KEY, email text);
INSERT INTO companies VALUES (1, 'company@example.org');
CREATE TABLE mine (id int, note text);
RESET search_path;
