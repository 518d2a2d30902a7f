package controllers

import (
	"net/http"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/object"
)

func recordPages() []consolePage {
	return []consolePage{{path: "/records", show: (*visit).listRecords}}
}

// recordsData is what the list of changes shows.
type recordsData struct {
	Form *form
	Rows []*sdk.Record
	Next string
}

// listRecords shows who changed what.
func (v *visit) listRecords() error {
	organization, err := v.byOrganization()
	if err != nil {
		return err
	}
	f := v.searchForm("records", append([]*field{
		{Name: "user", Kind: "search"},
		{Name: "action", Kind: "search"},
	}, organization...)...)
	data := recordsData{Form: f}
	if f.Wrong {
		return v.invalid("records", data)
	}
	q := object.ListQuery{
		Organization: f.valueIfAny("organization"), User: f.value("user"), PageSize: consolePageSize,
		After: v.r.URL.Query().Get("after"),
	}
	if action := f.value("action"); action != "" {
		q.Field, q.Value = "action", action
	}
	page, err := v.Deps.Console.Records().List(v.r.Context(), v.caller, q)
	if err != nil {
		return err
	}
	data.Rows, data.Next = page.Rows, v.next(page.Next)
	return v.render(http.StatusOK, "records", data)
}
