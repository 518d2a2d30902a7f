package object

import (
	"cmp"
	"context"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Records tell who did what. They are added, never changed.
func (a *Authority) Records() *Family[sdk.Record] {
	return &Family[sdk.Record]{a, a.tables.records, trait[sdk.Record]{
		name:       "record",
		home:       func(r *sdk.Record) home { return home{organization: r.Organization} },
		id:         func(r *sdk.Record) *rowID { return &rowID{&r.Owner, &r.Name} },
		homeColumn: "organization",
		userColumn: "user",
		owned:      byOrganization,
		large:      true,
		key:        func(r *sdk.Record) *int { return &r.Id },
		fill: func(_ context.Context, c *Caller, row, _ *sdk.Record) error {
			row.Owner = cmp.Or(row.Owner, row.Organization)
			row.Name = cmp.Or(row.Name, newID())
			row.Id, row.CreatedTime, row.IsTriggered = 0, a.stamp(), true
			row.ClientIp = c.ClientIP
			return nil
		},
	}}
}
