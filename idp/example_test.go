package idp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"golang.org/x/oauth2"

	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

// UserInfo and IdProvider stand for those of a Casdoor tree.
type UserInfo struct {
	Id, Username, DisplayName, UnionId, Email, Phone, CountryCode, AvatarUrl string

	Extra map[string]string
}

type IdProvider interface {
	SetHttpClient(client *http.Client)
	GetToken(code string) (*oauth2.Token, error)
	GetUserInfo(token *oauth2.Token) (*UserInfo, error)
}

// miniProgram is all the glue there is: one conversion.
type miniProgram struct{ *idp.Casdoor }

func (m miniProgram) GetUserInfo(token *oauth2.Token) (*UserInfo, error) {
	info, err := m.Casdoor.GetUserInfo(token)
	return (*UserInfo)(info), err
}

func newIdProvider(providerType, clientID, clientSecret, endpoint string) (IdProvider, error) {
	switch providerType {
	case idp.TypeWeChatMiniProgram:
		c, err := idp.NewCasdoor(clientID, provider.Secret(clientSecret), idp.Options{Endpoint: endpoint})
		return miniProgram{c}, err
	default:
		return nil, fmt.Errorf("provider type %s is not supported", providerType)
	}
}

// The WeChat provider becomes one of a Casdoor tree's own by one case in its switch.
func ExampleNewCasdoor() {
	wechat := fakewechat.New(fakewechat.Options{AppID: "wx0123456789abcdef", AppSecret: "app-secret"})
	server := httptest.NewServer(wechat)
	defer server.Close()

	p, err := newIdProvider("WeChatMiniProgram", "wx0123456789abcdef", "app-secret", server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	p.SetHttpClient(server.Client())
	token, err := p.GetToken(wechat.NewCode(fakewechat.User{OpenID: "oGZUI0egBJY1zhBYw2KhdUfwVJJE"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	user, err := p.GetUserInfo(token)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(user.Id, user.Username)

	_, err = p.GetToken("the code is a mock one")
	fmt.Println(provider.KindOf(err))
	// Output:
	// oGZUI0egBJY1zhBYw2KhdUfwVJJE wechat-oGZUI0egBJY1zhBYw2KhdUfwVJJE
	// invalid_code
}
