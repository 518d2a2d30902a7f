package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

// report is what a run has found.
type report struct {
	Machine     string             `json:"machine"`
	Workers     int                `json:"workers"`
	Seconds     float64            `json:"seconds"` // of one measurement
	Rounds      int                `json:"rounds"`
	LatencyMS   float64            `json:"latencyMS"`   // WeChat's, at half rate and under a crowd
	SignatureMS map[string]float64 `json:"signatureMS"` // what one takes, by algorithm
	Rows        []row              `json:"rows"`
	Crowds      []crowd            `json:"crowds"`
	Idle        []idle             `json:"idle"`
	Left        []string           `json:"left,omitempty"` // what was asked for and is not measured, and why
}

// row is the median of the rounds of one measurement: by their rates, at half rate by their p99.
type row struct {
	Operation string  `json:"operation"`
	Algorithm string  `json:"algorithm"`
	DB        string  `json:"db"`
	Instances int     `json:"instances"`
	Users     int     `json:"users"`
	Rate      float64 `json:"rate"` // a second
	Low       float64 `json:"low"`  // that of the slowest round
	High      float64 `json:"high"` // that of the fastest
	P50       float64 `json:"p50"`  // milliseconds
	P90       float64 `json:"p90"`
	P99       float64 `json:"p99"`
	Floor     float64 `json:"floor,omitempty"`     // its rate beside; 0: not measured
	FloorP99  float64 `json:"floorP99,omitempty"`  // its p99, in milliseconds
	WeChatP99 float64 `json:"wechatP99,omitempty"` // that of WeChat's own answers beside, in milliseconds
	Share     float64 `json:"share,omitempty"`     // of floor: the median of the rounds' shares
	OfFirst   float64 `json:"ofFirst"`             // of the rate with the first number of users, as Share
	OfSQLite  float64 `json:"ofSQLite,omitempty"`  // of that of one instance on SQLite, as Share; 0: not measured
}

// idle is the memory of a server right after its start.
type idle struct {
	DB    string  `json:"db"`
	Users int     `json:"users"`
	MiB   float64 `json:"mib"`
}

// samples are the rounds of one measurement, of floor right before each of them, and of WeChat beside.
type samples struct{ ours, floor, wechat []sample }

func newRows(operation, algorithm string, targets []target, all []samples) []row {
	rows := make([]row, len(targets))
	for i, t := range targets {
		if operation == halfRate {
			rows[i] = newPacedRow(all[i])
		} else {
			rows[i] = newRow(all[i])
		}
		r := &rows[i]
		r.Operation, r.Algorithm, r.DB, r.Instances, r.Users = operation, algorithm, t.kind, t.instances, t.users
		for j, other := range targets[:i+1] {
			if other.kind == t.kind && other.instances == t.instances && r.OfFirst == 0 {
				r.OfFirst = share(all[i].ours, all[j].ours)
			}
			if other.kind == "sqlite" && t.kind != "sqlite" && other.users == t.users {
				r.OfSQLite = share(all[i].ours, all[j].ours)
			}
		}
	}
	return rows
}

func newRow(s samples) row {
	m, f := median(s.ours, byRate), median(s.floor, byRate)
	r := row{
		Rate: m.Rate, Low: slices.MinFunc(s.ours, byRate).Rate, High: slices.MaxFunc(s.ours, byRate).Rate,
		P50: milliseconds(m.P50), P90: milliseconds(m.P90), P99: milliseconds(m.P99),
		Floor: f.Rate, FloorP99: milliseconds(f.P99),
	}
	if len(s.floor) > 0 {
		r.Share = share(s.ours, s.floor)
	}
	return r
}

// share returns the median of what the rounds' rates are of others' in the same rounds: a machine that is slow for a
// while changes both of a pair.
func share(ours, others []sample) float64 {
	shares := make([]sample, len(ours))
	for i := range ours {
		shares[i].Rate = ours[i].Rate / others[i].Rate
	}
	return median(shares, byRate).Rate
}

// newPacedRow is newRow for rounds of the same rate, which differ in their latencies.
func newPacedRow(s samples) row {
	m := median(s.ours, byP99)
	return row{
		Rate: m.Rate, Low: slices.MinFunc(s.ours, byRate).Rate, High: slices.MaxFunc(s.ours, byRate).Rate,
		P50: milliseconds(m.P50), P90: milliseconds(m.P90), P99: milliseconds(m.P99),
		FloorP99: milliseconds(median(s.floor, byP99).P99), WeChatP99: milliseconds(median(s.wechat, byP99).P99),
	}
}

func byRate(a, b sample) int { return cmp.Compare(a.Rate, b.Rate) }

func byP99(a, b sample) int { return cmp.Compare(a.P99, b.P99) }

// median returns the sample in the middle, of an even number the lesser of the two; the zero sample of none.
func median(samples []sample, order func(a, b sample) int) sample {
	if len(samples) == 0 {
		return sample{}
	}
	return slices.SortedFunc(slices.Values(samples), order)[(len(samples)-1)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func machine() string {
	return fmt.Sprintf("%d CPUs, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

func (r *report) writeJSON(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
