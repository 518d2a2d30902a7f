package object

import "xorm.io/xorm/names"

// Identity says which user a mini program's OpenID belongs to. It is the only thing that does: what Casdoor keeps in
// the user's wechat column can be edited, and is not looked up.
type Identity struct {
	Organization string `xorm:"varchar(100) notnull pk"`
	AppID        string `xorm:"app_id varchar(64) notnull pk"` // empty until an adopted user's next sign-in tells it
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

// Conflict is an OpenID that Casdoor's own data give to two users, or to one in a contradictory way. Nobody signs in
// with it until an admin has decided.
type Conflict struct {
	Organization string `xorm:"varchar(100) notnull pk"`
	OpenID       string `xorm:"open_id varchar(128) notnull pk"`
	Reason       string `xorm:"text"`                 // for the admin; names the users
	UserID       string `xorm:"user_id varchar(100)"` // the id of the user whom the admin has chosen; empty: undecided
	CreatedTime  string `xorm:"varchar(100)"`
}

// Upload is a picture that a user has sent, in all its sizes: whose it is and what becomes of it. Its row is there
// before the files and until they are gone, so that whatever dies in between leaves no file that nobody knows.
type Upload struct {
	FileKey      string `xorm:"varchar(64) notnull pk"` // of the largest size
	Organization string `xorm:"varchar(100) notnull"`
	UserID       string `xorm:"user_id varchar(100) notnull index"`
	State        string `xorm:"varchar(10) notnull"`       // see uploadNew
	Due          string `xorm:"varchar(30) notnull index"` // when the sweep looks at it; empty: never
	CreatedTime  string `xorm:"varchar(100)"`

	// Of one that the platform judges: the check, the address that becomes the avatar's, and the options of its time.
	TraceID     string `xorm:"trace_id varchar(128) notnull index"` // see traceKey
	URL         string `xorm:"url varchar(1000)"`
	OnReview    string `xorm:"varchar(10)"`
	OnUnchecked string `xorm:"varchar(10)"`
}

// Mark says that a field of a user's profile was taken over without WeChat's judgement, as the provider's options
// allow: somebody should look at it.
type Mark struct {
	UserID      string `xorm:"user_id varchar(100) notnull pk" json:"-"`
	Field       string `xorm:"varchar(40) notnull pk" json:"field"` // by its JSON name, such as "displayName"
	Reason      string `xorm:"varchar(40)" json:"reason"`           // the provider.Kind, or the provider.Suggestion
	UpdatedTime string `xorm:"varchar(100)" json:"updatedTime"`
}

// Event is a pushed message that was acted on. It keeps the platform's redeliveries from doing so again, for a day.
type Event struct {
	Provider    string `xorm:"varchar(100) notnull pk"`
	EventKey    string `xorm:"varchar(64) notnull pk"`
	Name        string `xorm:"varchar(100)"`
	CreatedTime string `xorm:"varchar(100)"`
}

// Media is the platform's verdict on a picture that it was given to judge, as it was pushed. It may come before whoever
// gave it has stored the TraceID.
type Media struct {
	TraceID     string `xorm:"trace_id varchar(128) notnull pk"` // see traceKey
	Suggestion  string `xorm:"varchar(20)"`                      // pass, review or risky; empty: there is no verdict, see Code
	Label       int
	Code        int    // 0, or why there is no verdict
	UpdatedTime string `xorm:"varchar(100)"`
}

// tableNames maps rows to tables: Casdoor's to Casdoor's names, and ours to names beside them that Casdoor will hardly
// want, all behind Casdoor's prefix.
type tableNames struct {
	names.SnakeMapper
	prefix string
}

// Obj2Table implements names.Mapper.
func (m tableNames) Obj2Table(name string) string {
	switch name {
	case "Organization", "Application", "Provider", "Cert", "User", "Token", "Record", "Resource", "Role", "Permission":
	case "ProviderOptions":
		name = "MiniProgramProvider"
	default:
		name = "MiniProgram" + name
	}
	return m.prefix + m.SnakeMapper.Obj2Table(name)
}
