package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// print writes the results as a table.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\nminidoor, with load and databases on the same machine: %s.\n", r.Machine)
	fmt.Fprintf(w, "%d requests at a time, %g s each, median of %d.\n\n", r.Workers, r.Seconds, r.Rounds)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "operation\talgorithm\tdb\tinstances\tusers\tper second\tlow\thigh\tp50 ms\tp90 ms\tp99 ms\t")
	fmt.Fprintf(table, "floor\tfloor p99 ms\tWeChat p99 ms\tof floor\tof %d users\tof SQLite\t\n", r.Rows[0].Users)
	for _, row := range r.Rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%s\t%s\t%s\t%s\t%.2f\t%s\t\n",
			row.Operation, row.Algorithm, row.DB, row.Instances, row.Users, row.Rate, row.Low, row.High,
			row.P50, row.P90, row.P99, orDash("%.0f", row.Floor), orDash("%.2f", row.FloorP99),
			orDash("%.2f", row.WeChatP99), orDash("%.2f", row.Share), row.OfFirst, orDash("%.2f", row.OfSQLite))
	}
	_ = table.Flush()
	fmt.Fprintln(w)
	for _, text := range r.Left {
		fmt.Fprintln(w, text)
	}
	fmt.Fprintf(w, "At half rate and under a crowd WeChat takes %g ms. A signature takes", r.LatencyMS)
	for _, label := range []string{rs2048, rs4096, es256} {
		if cost, known := r.SignatureMS[label]; known {
			fmt.Fprintf(w, " %s %.3f ms", label, cost)
		}
	}
	fmt.Fprint(w, ".\n\n")
	for _, c := range r.Crowds {
		fmt.Fprintf(w, "%d in flight, %s, %s, %d users: %d sign-ins, %.0f a second (floor %s), %d failures, p99 %.0f ms, "+
			"peak memory %.1f MiB\n", c.InFlight, c.Algorithm, c.DB, c.Users, c.SignIns, c.Rate, orDash("%.0f", c.Floor),
			c.Failures, c.P99, c.PeakMiB)
	}
	for _, i := range r.Idle {
		fmt.Fprintf(w, "Idle memory, %s, %d users: %.1f MiB\n", i.DB, i.Users, i.MiB)
	}
}

func orDash(format string, value float64) string {
	if value == 0 {
		return "-"
	}
	return fmt.Sprintf(format, value)
}
