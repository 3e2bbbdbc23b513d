package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"shop/internal/orders"
	"shop/internal/web"
)

// version is built in: go build -ldflags "-X main.version=1.5". A program without it is what VERSION says.
var version string

// settings are what the environment says.
type settings struct {
	identity      web.Identity
	databaseURL   string
	port          string
	adminPort     string
	fault         web.Fault
	connectionAge time.Duration
	idleTimeout   time.Duration
}

func readSettings() (settings, error) {
	s := settings{
		identity: web.Identity{
			Version: version, Color: os.Getenv("COLOR"), Release: os.Getenv("RELEASE"),
		},
		databaseURL: os.Getenv("DATABASE_URL"),
		port:        fromEnvironment("PORT", "8080"),
		adminPort:   fromEnvironment("ADMIN_PORT", "9090"),
	}
	wanted := os.Getenv("VERSION")
	if version == "" {
		s.identity.Version = wanted
	} else if wanted != "" && wanted != version {
		return s, fmt.Errorf("this is %s, and VERSION asks for %s: the image has the wrong tag", version, wanted)
	}
	if orders.Versions[s.identity.Version] == nil {
		known := slices.Sorted(maps.Keys(orders.Versions))
		return s, fmt.Errorf("VERSION is %q; this program can be one of %q", s.identity.Version, known)
	}
	if s.databaseURL == "" {
		return s, errors.New("DATABASE_URL is missing: the URL of the database, as libpq takes it")
	}
	var err error
	if s.fault, err = web.ParseFault(os.Getenv("SHOP_FAULT"), time.Now()); err != nil {
		return s, err
	}
	if s.connectionAge, err = time.ParseDuration(fromEnvironment("CONNECTION_AGE", "5s")); err != nil {
		return s, fmt.Errorf("CONNECTION_AGE: %w", err)
	}
	if s.idleTimeout, err = time.ParseDuration(fromEnvironment("IDLE_TIMEOUT", "65s")); err != nil {
		return s, fmt.Errorf("IDLE_TIMEOUT: %w", err)
	}
	return s, nil
}

func fromEnvironment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
