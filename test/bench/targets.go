package main

import "fmt"

// The targets, on one machine of 2 cores that also runs the load and the databases.
const (
	ofFirstTarget  = 0.95 // however many users there are
	ofSQLiteTarget = 0.8  // PostgreSQL and MariaDB, sign-ins with RS256-2048
	accountTarget  = 8000.0
	updateTarget   = 2000.0
	signatures     = 3.0   // what p99 at half rate may cost beside WeChat's latency
	crowdTarget    = 200.0 // MiB, at most
	idleTarget     = 40.0  // MiB, at most
)

// shareTargets are shares of floor's sign-ins by algorithm.
func shareTargets() map[string]float64 {
	return map[string]float64{rs2048: 0.9, rs4096: 0.9, es256: 0.65}
}

// missed returns the targets that were missed, one a line.
func (r *report) missed() []string {
	var missed []string
	miss := func(format string, args ...any) { missed = append(missed, fmt.Sprintf(format, args...)) }
	for _, row := range r.Rows {
		row.missed(r, miss)
	}
	for _, c := range r.Crowds {
		if c.Failures > 0 {
			miss("%d in flight, %s, %d users: %d sign-ins fail", c.InFlight, c.DB, c.Users, c.Failures)
		}
		if c.PeakMiB > crowdTarget {
			miss("%d in flight, %s, %d users: peak memory is %.1f MiB, more than %.0f",
				c.InFlight, c.DB, c.Users, c.PeakMiB, crowdTarget)
		}
	}
	for _, i := range r.Idle {
		if i.MiB > idleTarget {
			miss("%s, %d users: idle memory is %.1f MiB, more than %.0f", i.DB, i.Users, i.MiB, idleTarget)
		}
	}
	return missed
}

func (row row) missed(r *report, miss func(format string, args ...any)) {
	name := fmt.Sprintf("%s, %s, %s, %d instances, %d users",
		row.Operation, row.Algorithm, row.DB, row.Instances, row.Users)
	atLeast := func(what string, value, target float64) {
		if value < target {
			miss("%s: %s is %.2f, less than %.2f", name, what, value, target)
		}
	}
	if row.Operation == halfRate {
		// The durable write beside an ES256 signature takes several times as long as that.
		limit := signatures*r.SignatureMS[row.Algorithm] + r.LatencyMS
		if row.Algorithm != es256 && row.P99 > limit {
			miss("%s: p99 is %.2f ms, more than %.2f (floor's is %s, that of WeChat's answers alone %s)", name, row.P99, limit,
				orDash("%.2f", row.FloorP99), orDash("%.2f", row.WeChatP99))
		}
		return
	}
	atLeast("the share of the rate with the fewest users", row.OfFirst, ofFirstTarget)
	if row.Floor > 0 {
		atLeast("the share of floor", row.Share, shareTargets()[row.Algorithm])
	}
	switch {
	case row.Operation == accountRead:
		atLeast("the rate", row.Rate, accountTarget)
	case row.Operation == profileUpdate:
		atLeast("the rate", row.Rate, updateTarget)
	case row.OfSQLite > 0 && row.Algorithm == rs2048:
		atLeast("the share of SQLite's rate", row.OfSQLite, ofSQLiteTarget)
	}
}
