package controllers

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/minidoor/minidoor/object"
)

func logPages() []consolePage {
	return []consolePage{
		{path: "/log", show: (*visit).signInLog},
		{path: "/log/rows", show: (*visit).newSignIns},
	}
}

// logData is what the log of sign-ins shows.
type logData struct {
	Form   *form
	Rows   []object.SignInEntry
	Next   string
	Newest string // when the newest row was, to ask for what comes after it
	Live   string // the address of newer rows
	Older  bool   // it is not the first page, and cannot be followed
}

// followedBack is how far before the newest row the next look begins: instances write their rows once a second, and not
// all at the same time.
const followedBack = 5 * time.Second

// logTime is how the script tells a time.
const logTime = "2006-01-02T15:04:05.000Z"

// outcomes are how sign-ins can end, as far as one would look for it.
func outcomes() []string {
	return []string{
		"", object.SignedIn, "failed", string(object.InvalidGrant), string(object.AccessDenied),
		string(object.InvalidClient), string(object.UnauthorizedClient), string(object.InvalidRequest),
		string(object.SlowDown), string(object.Unavailable), "server_error", string(clientLeft),
	}
}

func (v *visit) logForm() (*form, object.LogQuery, error) {
	organization, err := v.byOrganization()
	if err != nil {
		return nil, object.LogQuery{}, err
	}
	f := v.searchForm("log", append([]*field{
		{Name: "outcome", Kind: "select", Options: labelled("outcome.", outcomes()...)},
		{Name: "errcode", Kind: "search"},
		{Name: "user", Kind: "search", Max: 200},
		{Name: "from", Kind: "datetime-local"},
		{Name: "to", Kind: "datetime-local"},
	}, organization...)...)
	q := object.LogQuery{
		Organization: f.valueIfAny("organization"), Outcome: f.value("outcome"), User: f.value("user"),
		From: timeIn(f, "from"), To: timeIn(f, "to"), Limit: consolePageSize, After: v.r.URL.Query().Get("after"),
	}
	if text := f.value("errcode"); text != "" {
		code, err := strconv.ParseInt(text, 10, 32) // as its column
		if err != nil {
			f.wrong("errcode", "number")
		}
		q.Errcode = int(code)
	}
	return f, q, nil
}

// timeIn reads a time in UTC, as browsers send it; empty is the zero time.
func timeIn(f *form, name string) time.Time {
	text := f.value(name)
	if text == "" {
		return time.Time{}
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at
		}
	}
	f.wrong(name, "time")
	return time.Time{}
}

func (v *visit) signInLog() error {
	f, q, err := v.logForm()
	if err != nil {
		return err
	}
	data := logData{Form: f, Older: q.After != ""}
	if f.Wrong {
		return v.invalid("log", data)
	}
	rows, next, err := v.Deps.Console.SignIns(v.r.Context(), v.caller, q)
	if err != nil {
		return err
	}
	data.Rows, data.Next = rows, v.next(next)
	data.Newest, data.Live = newestOf(rows), v.live()
	return v.render(http.StatusOK, "log", data)
}

// live returns the address of the newer rows of the list that is shown.
func (v *visit) live() string {
	query := v.r.URL.Query()
	live := url.Values{}
	for _, name := range []string{"outcome", "errcode", "user", "organization"} {
		if query.Has(name) {
			live.Set(name, query.Get(name))
		}
	}
	return consoleRoot + "/log/rows?" + live.Encode()
}

func newestOf(rows []object.SignInEntry) string {
	if len(rows) == 0 {
		return time.Now().UTC().Format(logTime)
	}
	return rows[0].Time.UTC().Format(logTime)
}

// newSignIns is GET /console/log/rows?since=…: the rows from a little before that time on, for the script.
func (v *visit) newSignIns() error {
	f, q, err := v.logForm()
	if err != nil {
		return err
	}
	since, err := time.Parse(logTime, v.r.URL.Query().Get("since"))
	if err != nil || f.Wrong {
		return badRequest("since or a filter is wrong")
	}
	q.From, q.Limit = since.Add(-followedBack), 4*consolePageSize
	rows, _, err := v.Deps.Console.SignIns(v.r.Context(), v.caller, q)
	if err != nil {
		return err
	}
	newest := v.r.URL.Query().Get("since")
	if len(rows) > 0 && newestOf(rows) > newest {
		newest = newestOf(rows)
	}
	return v.render(http.StatusOK, "log-rows", logData{Rows: rows, Newest: newest})
}
