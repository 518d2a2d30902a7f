package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// report is what a run has found.
type report struct {
	Machine string  `json:"machine"`
	Workers int     `json:"workers"`
	Seconds float64 `json:"seconds"` // of one measurement
	Rounds  int     `json:"rounds"`
	Rows    []row   `json:"rows"`
	Idle    []idle  `json:"idle"`
}

// row is the median of the rounds of one measurement.
type row struct {
	Operation string  `json:"operation"`
	Algorithm string  `json:"algorithm"`
	Users     int     `json:"users"`
	Rate      float64 `json:"rate"` // a second
	P50       float64 `json:"p50"`  // milliseconds
	P90       float64 `json:"p90"`
	P99       float64 `json:"p99"`
	Floor     float64 `json:"floor,omitempty"` // its rate beside; 0: not measured
	Share     float64 `json:"share,omitempty"` // Rate of Floor
	OfFirst   float64 `json:"ofFirst"`         // Rate of that with the first number of users
}

// idle is the memory of a server right after its start.
type idle struct {
	Users int     `json:"users"`
	MiB   float64 `json:"mib"`
}

func newRow(operation, algorithm string, users int, ours, floors, first []sample) row {
	m, f := median(ours), median(floors)
	return row{
		Operation: operation, Algorithm: algorithm, Users: users, Rate: m.Rate,
		P50: milliseconds(m.P50), P90: milliseconds(m.P90), P99: milliseconds(m.P99),
		Floor: f.Rate, Share: ratio(m.Rate, f.Rate), OfFirst: ratio(m.Rate, median(first).Rate),
	}
}

// median returns the sample with the median rate, of an even number the slower one of the two; the zero sample of none.
func median(samples []sample) sample {
	if len(samples) == 0 {
		return sample{}
	}
	sorted := slices.SortedFunc(slices.Values(samples), func(a, b sample) int { return cmp.Compare(a.Rate, b.Rate) })
	return sorted[(len(sorted)-1)/2]
}

// ratio returns 0 where there is nothing to compare with.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func machine() string {
	return fmt.Sprintf("%d CPUs, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// print writes the results as a table.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\nminidoor on SQLite, with the load on the same machine: %s.\n", r.Machine)
	fmt.Fprintf(w, "%d requests at a time, %g s each, median of %d.\n\n", r.Workers, r.Seconds, r.Rounds)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	first := r.Rows[0].Users
	fmt.Fprint(table, "operation\talgorithm\tusers\tper second\tp50 ms\tp90 ms\tp99 ms\tfloor\tof floor\t")
	fmt.Fprintf(table, "of %d users\t\n", first)
	for _, row := range r.Rows {
		fmt.Fprintf(table, "%s\t%s\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%s\t%s\t%.2f\t\n",
			row.Operation, row.Algorithm, row.Users, row.Rate, row.P50, row.P90, row.P99,
			orDash("%.0f", row.Floor), orDash("%.2f", row.Share), row.OfFirst)
	}
	_ = table.Flush()
	fmt.Fprintln(w)
	for _, i := range r.Idle {
		fmt.Fprintf(w, "Idle memory with %d users: %.1f MiB\n", i.Users, i.MiB)
	}
}

func orDash(format string, value float64) string {
	if value == 0 {
		return "-"
	}
	return fmt.Sprintf(format, value)
}

func (r *report) writeJSON(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// The targets, on one machine of 2 cores that also runs the load.
const (
	ofFirstTarget = 0.9 // however many users there are
	accountTarget = 4000.0
	updateTarget  = 2000.0
	idleTarget    = 40.0 // MiB, at most
)

// shareTargets are shares of floor's sign-ins by algorithm.
func shareTargets() map[string]float64 { return map[string]float64{"RS256-2048": 0.85, "ES256": 0.5} }

// missed returns the targets that were missed, one a line.
func (r *report) missed() []string {
	var missed []string
	atLeast := func(row row, what string, value, target float64) {
		if value < target {
			missed = append(missed, fmt.Sprintf("%s, %s, %d users: %s is %.2f, less than %.2f",
				row.Operation, row.Algorithm, row.Users, what, value, target))
		}
	}
	for _, row := range r.Rows {
		if row.Floor > 0 {
			atLeast(row, "the share of floor", row.Share, shareTargets()[row.Algorithm])
		}
		atLeast(row, "the share of the rate with the fewest users", row.OfFirst, ofFirstTarget)
		switch row.Operation {
		case accountRead:
			atLeast(row, "the rate", row.Rate, accountTarget)
		case profileUpdate:
			atLeast(row, "the rate", row.Rate, updateTarget)
		}
	}
	for _, i := range r.Idle {
		if i.MiB > idleTarget {
			missed = append(missed,
				fmt.Sprintf("idle memory with %d users is %.1f MiB, more than %.0f", i.Users, i.MiB, idleTarget))
		}
	}
	return missed
}
