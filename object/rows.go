package object

// Identity says which user a mini program's OpenID belongs to. It is the only thing that does: what Casdoor keeps in
// the user's wechat column can be edited, and is not looked up.
type Identity struct {
	Organization string `xorm:"varchar(100) notnull pk"`
	AppID        string `xorm:"app_id varchar(64) notnull pk"`
	OpenID       string `xorm:"open_id varchar(128) notnull pk"`
	UserID       string `xorm:"user_id varchar(100) notnull index"` // the user's id, which never changes
	UnionID      string `xorm:"union_id varchar(128)"`
	CreatedTime  string `xorm:"varchar(100)"`
	UpdatedTime  string `xorm:"varchar(100)"`
}

// Session is the SessionKey of an OpenID's last sign-in, sealed.
type Session struct {
	Organization string `xorm:"varchar(100) notnull pk"`
	AppID        string `xorm:"app_id varchar(64) notnull pk"`
	OpenID       string `xorm:"open_id varchar(128) notnull pk"`
	SealedKey    string `xorm:"varchar(200) notnull"`
	KeyID        string `xorm:"key_id varchar(20) notnull"`
	UpdatedTime  string `xorm:"varchar(100)"`
}

// Union says which user a UnionID belongs to, for the providers that share users by it.
type Union struct {
	Organization string `xorm:"varchar(100) notnull pk"`
	UnionID      string `xorm:"union_id varchar(128) notnull pk"`
	UserID       string `xorm:"user_id varchar(100) notnull"`
	CreatedTime  string `xorm:"varchar(100)"`
}

// ProviderOptions is what Casdoor's provider row has no field for.
type ProviderOptions struct {
	Owner        string `xorm:"varchar(100) notnull pk" json:"owner"`
	Name         string `xorm:"varchar(100) notnull pk" json:"name"`
	ShareUnionID bool   `xorm:"share_union_id" json:"shareUnionId"` // sign in as the user who has the UnionID already
}

// TableName puts the table beside Casdoor's without taking a name that Casdoor may want.
func (Identity) TableName() string { return "mini_program_identity" }

// TableName is as Identity's.
func (Session) TableName() string { return "mini_program_session" }

// TableName is as Identity's.
func (Union) TableName() string { return "mini_program_union" }

// TableName is as Identity's.
func (ProviderOptions) TableName() string { return "mini_program_provider" }
