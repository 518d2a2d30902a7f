package controllers

import (
	"context"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
)

// MiniProgramController serves what mini programs ask for beside signing in and the profile. Every route takes the
// bearer token, and app_id where the user may have signed in with several mini programs: by default the last one
// counts.
type MiniProgramController struct{ Base }

// withParams authenticates the user and reads the parameters.
func (c *MiniProgramController) withParams(do func(*object.Principal, params) error) {
	p, err := c.principal()
	var sent params
	if err == nil {
		sent, err = c.params()
	}
	if err == nil {
		err = do(p, sent)
	}
	if err != nil {
		c.fail(err)
	}
}

// Phone is POST /api/mini-program/phone with {"code"}, the one of the getPhoneNumber button, as JSON or as a form. It
// stores the number and answers with the account.
//
//	@router /api/mini-program/phone [post]
func (c *MiniProgramController) Phone() {
	c.withParams(func(p *object.Principal, sent params) error {
		if sent["code"] == "" {
			return badRequest("code is missing: it comes from the getPhoneNumber button")
		}
		if err := c.spend(p, sent, c.Deps.Service.StorePhone); err != nil {
			return err
		}
		c.replyAccount(p)
		return nil
	})
}

// Decrypt is POST /api/mini-program/decrypt with wx's {"encryptedData", "iv"} and, for a profile, {"rawData",
// "signature"}, as JSON or as a form. The data is what was encrypted.
//
//	@router /api/mini-program/decrypt [post]
func (c *MiniProgramController) Decrypt() {
	c.withParams(func(p *object.Principal, sent params) error {
		if sent["encryptedData"] == "" || sent["iv"] == "" {
			return badRequest("encryptedData and iv are required")
		}
		plain, err := c.Deps.Service.Decrypt(c.Ctx.Request.Context(), p, sent["app_id"], provider.EncryptedData{
			Data: sent["encryptedData"], IV: sent["iv"], RawData: sent["rawData"], Signature: sent["signature"],
		})
		if err != nil {
			return err
		}
		c.replyData(plain)
		return nil
	})
}

// Session is GET /api/mini-program/session: whether the SessionKey of the last sign-in is still WeChat's current one.
//
//	@router /api/mini-program/session [get]
func (c *MiniProgramController) Session() {
	c.withParams(func(p *object.Principal, sent params) error {
		state, err := c.Deps.Service.CheckSession(c.Ctx.Request.Context(), p, sent["app_id"])
		if err != nil {
			return err
		}
		c.replyData(state)
		return nil
	})
}

// Export is GET /api/mini-program/account/export: all that is stored about the user, as a file.
//
//	@router /api/mini-program/account/export [get]
func (c *MiniProgramController) Export() {
	c.withParams(func(p *object.Principal, _ params) error {
		leave, err := c.Deps.Limits.export(c.Ctx.Request.Context(), p.User.Id)
		if err != nil {
			return err
		}
		defer leave()
		export, err := c.Deps.Service.Export(c.Ctx.Request.Context(), p)
		if err != nil {
			return err
		}
		c.Ctx.ResponseWriter.Header().Set("Content-Disposition", `attachment; filename="account.json"`)
		c.reply(export)
		return nil
	})
}

// Delete is POST /api/mini-program/account/delete with {"code"}, a fresh one of wx.login, as JSON or as a form. The
// account and all its tokens are gone when it answers.
//
//	@router /api/mini-program/account/delete [post]
func (c *MiniProgramController) Delete() {
	c.withParams(func(p *object.Principal, sent params) error {
		if sent["code"] == "" {
			return badRequest("code is missing: a fresh one of wx.login proves who asks")
		}
		if err := c.spend(p, sent, c.Deps.Service.Delete); err != nil {
			return err
		}
		c.replyData("Affected")
		return nil
	})
}

// spend has do send a code to the platform. Codes that it refuses count as those of sign-ins do: one who has signed in
// could else go on guessing here.
func (c *MiniProgramController) spend(
	p *object.Principal, sent params, do func(ctx context.Context, p *object.Principal, appID, code string) error,
) error {
	ctx := c.Ctx.Request.Context()
	return c.Deps.Limits.spend(ctx, c.Deps.network(c.Ctx.Request), p.ClientID(), func() error {
		return do(ctx, p, sent["app_id"], sent["code"])
	})
}
