package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is a way to be broken on purpose, for rehearsals and tests: a name and when it begins.
type Fault struct {
	Name string
	At   time.Time
}

var faults = []string{"crash", "unready", "errors"}

// ParseFault reads SHOP_FAULT: `errors`, or `errors-after=30s`; nothing is no fault.
func ParseFault(text string, now time.Time) (Fault, error) {
	if text == "" {
		return Fault{}, nil
	}
	name, after, isLater := strings.Cut(text, "-after=")
	wait, err := time.ParseDuration(after)
	if !slices.Contains(faults, name) || (isLater && err != nil) {
		return Fault{}, fmt.Errorf("SHOP_FAULT is %q; there are %q, each also as errors-after=30s", text, faults)
	}
	return Fault{name, now.Add(wait)}, nil
}

// Is tells whether this is the fault of that name and it has begun.
func (f Fault) Is(name string) bool {
	return f.Name == name && !time.Now().Before(f.At)
}

// orErrors answers 500 instead of `next` while the fault is `errors`.
func (f Fault) orErrors(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if f.Is("errors") {
			write(w, http.StatusInternalServerError, map[string]string{"error": "SHOP_FAULT says so"})
			return
		}
		next(w, r)
	}
}
