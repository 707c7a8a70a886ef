-- What the quickstart's database holds: a shop, and two tenants that must not see each other.
CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, price numeric(8, 2) NOT NULL);
INSERT INTO products VALUES (1, 'lamp', 39.90), (2, 'chair', 89.00), (3, 'table', 249.00);

CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL, amount int NOT NULL);
INSERT INTO orders VALUES (1, 'lamp', 2), (2, 'chair', 4), (3, 'table', 1);

CREATE TABLE tenant_7 (id int PRIMARY KEY, note text);
INSERT INTO tenant_7 VALUES (1, 'a note of tenant 7');
CREATE TABLE tenant_8 (id int PRIMARY KEY, note text);
INSERT INTO tenant_8 VALUES (1, 'a note of tenant 8');
