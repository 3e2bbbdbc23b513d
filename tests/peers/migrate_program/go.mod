module team

go 1.25

require github.com/golang-migrate/migrate/v4 v4.20.1
