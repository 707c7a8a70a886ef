-- What every test cluster holds. `app` owns it all; the users named for a method log in by it with `secret`.
CREATE ROLE app LOGIN;
CREATE ROLE other LOGIN IN ROLE app;
CREATE ROLE tls_user LOGIN IN ROLE app;
SET password_encryption = 'scram-sha-256';
CREATE ROLE scram_user LOGIN IN ROLE app PASSWORD 'secret';
CREATE ROLE plain_user LOGIN IN ROLE app PASSWORD 'secret';
SET password_encryption = 'md5';
CREATE ROLE md5_user LOGIN IN ROLE app PASSWORD 'secret';
ALTER DATABASE app OWNER TO app;
ALTER SCHEMA public OWNER TO app;

SET SESSION AUTHORIZATION app;
CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL, amount int NOT NULL);
INSERT INTO orders SELECT n, 'item ' || n, n * 10 FROM generate_series(1, 100) AS n;
CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO products SELECT n, 'product ' || n FROM generate_series(1, 20) AS n;
CREATE TABLE tenant_acme (id int PRIMARY KEY, note text);
INSERT INTO tenant_acme VALUES (1, 'of acme');
CREATE TABLE tenant_globex (id int PRIMARY KEY, note text);
INSERT INTO tenant_globex VALUES (1, 'of globex');
-- One table for each kind of stage to refuse.
CREATE TABLE by_rule (id int);
CREATE TABLE by_script (id int);
CREATE TABLE by_plugin (id int);
INSERT INTO by_rule VALUES (1);
INSERT INTO by_script VALUES (1);
INSERT INTO by_plugin VALUES (1);
CREATE SEQUENCE numbers;
RESET SESSION AUTHORIZATION;
CREATE DATABASE app_dev OWNER app;
