package idp

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/minidoor/minidoor/provider"
)

// UserInfo is what a Casdoor tree learns about a user. It has the fields of its idp.UserInfo in their order, so that
// (*idp.UserInfo)(info) in that tree is a plain conversion.
type UserInfo struct {
	Id          string            // the OpenID
	Username    string            // "wechat-<OpenID>"
	DisplayName string            // always empty: a code says nothing about the profile
	UnionId     string            // empty where WeChat gives none
	Email       string            // always empty
	Phone       string            // always empty
	CountryCode string            // always empty
	AvatarUrl   string            // always empty
	Extra       map[string]string // always nil
}

var errForeignToken = errors.New("token is not one of this provider's GetToken")

// Casdoor lets a Casdoor tree use WeChat as one of its own identity providers: it has the methods of idp.IdProvider, of
// which GetUserInfo wants its UserInfo converted to Casdoor's. The SessionKey never leaves it. GetToken and GetUserInfo
// are safe for concurrent use, SetHttpClient is not.
type Casdoor struct {
	options Options
	wechat  *WeChat
}

// NewCasdoor returns the adapter for one mini program. Its error is a *provider.Error of KindMisconfigured.
func NewCasdoor(appID string, secret provider.Secret, o Options) (*Casdoor, error) {
	o = o.withDefaults()
	config := provider.Config{Type: TypeWeChatMiniProgram, ClientID: appID, ClientSecret: secret}
	w, err := newWeChat(config, o, newClient(o))
	if err != nil {
		return nil, err
	}
	return &Casdoor{options: o, wechat: w}, nil
}

// SetHttpClient makes later calls use client's Transport and Timeout; nil brings the default back.
func (c *Casdoor) SetHttpClient(client *http.Client) {
	c.options.HTTPClient = client
	c.wechat.client = newClient(c.options)
}

// GetToken exchanges the code of wx.login. Casdoor stores the access token of what it returns with the user, therefore
// that is a random word without value; who signed in is in the part of the token that cannot be stored.
func (c *Casdoor) GetToken(code string) (*oauth2.Token, error) {
	s, err := c.wechat.Exchange(context.Background(), code)
	if err != nil {
		return nil, err
	}
	token := &oauth2.Token{AccessToken: rand.Text(), TokenType: "handle"}
	return token.WithExtra(map[string]any{"openid": s.OpenID, "unionid": s.UnionID}), nil
}

// GetUserInfo returns the user whose code GetToken exchanged. It refuses a token that came any other way, such as one
// that was stored and read back.
func (c *Casdoor) GetUserInfo(token *oauth2.Token) (*UserInfo, error) {
	if token == nil {
		return nil, errForeignToken
	}
	openID, _ := token.Extra("openid").(string)
	unionID, _ := token.Extra("unionid").(string)
	if openID == "" {
		return nil, errForeignToken
	}
	return &UserInfo{Id: openID, Username: wechatPrefix + "-" + openID, UnionId: unionID}, nil
}
