package controllers

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/minidoor/minidoor/object"
)

func overviewPages() []consolePage {
	return []consolePage{{show: (*visit).overview}, {path: "/", show: (*visit).overview}} // as some type it
}

// span is a time that the overview can show.
type span struct {
	Name   string // ends a text's key
	length time.Duration
	mark   string // how its times are written
}

func spans() []span {
	const day = 24 * time.Hour
	return []span{{"hour", time.Hour, "15:04"}, {"day", day, "15:04"}, {"month", 30 * day, "01-02"}}
}

// overviewData is what the overview shows.
type overviewData struct {
	Spans  []span
	Span   string
	Charts []chart
	Causes []cause
	State  []part
}

// cause is why sign-ins failed.
type cause struct {
	Outcome string // OAuth's error
	Errcode string // of the platform; empty: none
	Count   int
	Share   string // of the most frequent cause, in per cent
	Log     string // the address of the sign-ins
}

func (v *visit) overview() error {
	shown := spans()[0]
	for _, s := range spans() {
		if s.Name == v.r.URL.Query().Get("span") {
			shown = s
		}
	}
	found, err := v.Deps.Console.Statistics(v.r.Context(), v.caller, shown.length)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "overview", overviewData{
		Spans: spans(), Span: shown.Name, Charts: v.charts(found, shown.mark), Causes: causesOf(found.Causes),
		State: v.stateOf(),
	})
}

func (v *visit) charts(found *object.Statistics, mark string) []chart {
	var times []time.Time
	column := func(class, name string, of func(object.StatPoint) float64) numbers {
		n := numbers{class: class, name: v.words.text(name)}
		for _, p := range found.Points {
			n.values = append(n.values, of(p))
		}
		return n
	}
	for _, p := range found.Points {
		times = append(times, p.Time)
	}
	count := func(value float64) string { return grouped(int(value)) }
	ms := func(value float64) string { return fmt.Sprintf("%.0f ms", value) }
	good := column("ok", "overview.ok", func(p object.StatPoint) float64 { return float64(p.SignIns) })
	failed := column("failed", "overview.failed", func(p object.StatPoint) float64 { return float64(sumOf(p.Failures)) })
	users := column("fresh", "overview.newUsers", func(p object.StatPoint) float64 { return float64(p.NewUsers) })
	half := column("ok", "overview.p50", func(p object.StatPoint) float64 { return p.P50Ms })
	most := column("slow", "overview.p99", func(p object.StatPoint) float64 { return p.P99Ms })
	all := []chart{
		bars(v.words.text("overview.signIns"), times, []numbers{good, failed}, count),
		bars(v.words.text("overview.newUsers"), times, []numbers{users}, count),
		lines(v.words.text("overview.latency"), times, []numbers{half, most}, ms),
	}
	slowest := slices.Max(append(slices.Clone(most.values), 0))
	all[0].Summary = v.words.text("overview.signInsSummary", grouped(int(found.SignIns)), grouped(sumOf(found.Causes)))
	all[0].Total = grouped(int(found.SignIns))
	all[1].Summary = v.words.text("overview.usersSummary", grouped(int(found.Users)))
	all[1].Total = grouped(int(found.Users))
	all[2].Summary = v.words.text("overview.latencySummary", ms(slowest))
	for i := range all {
		all[i].Marks = marksOf(times, mark)
	}
	return all
}

func sumOf(causes map[string]int64) (n int) {
	for _, times := range causes {
		n += int(times)
	}
	return n
}

// marksOf returns some times along a chart, the first and the last among them, in UTC.
func marksOf(times []time.Time, mark string) []string {
	const wanted = 4
	var marks []string
	for i := range wanted {
		if len(times) > 0 {
			marks = append(marks, times[i*(len(times)-1)/(wanted-1)].UTC().Format(mark))
		}
	}
	if len(marks) > 0 {
		marks[wanted-1] += " UTC"
	}
	return marks
}

// causesOf returns why sign-ins failed, the most frequent first.
func causesOf(causes map[string]int64) []cause {
	names := slices.SortedFunc(maps.Keys(causes), func(a, b string) int {
		return cmp.Or(cmp.Compare(causes[b], causes[a]), cmp.Compare(a, b))
	})
	var all []cause
	for _, name := range names {
		outcome, errcode, _ := strings.Cut(name, " ")
		query := url.Values{"outcome": {outcome}}
		if errcode != "" {
			query.Set("errcode", errcode)
		}
		all = append(all, cause{
			outcome, errcode, int(causes[name]), units(float64(causes[name]) * 100 / float64(causes[names[0]])),
			consoleRoot + "/log?" + query.Encode(),
		})
	}
	return all
}
