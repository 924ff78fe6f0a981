//! Tokens: made once, shown once, over when they should be.

use store::{Kind, Scope, Token};

use crate::world::World;

crate::on_both!(a_token_is_known_by_its_text_alone, a_name_is_free_again_after_its_token, a_token_ends_by_itself);

async fn a_token_is_known_by_its_text_alone(world: World) {
    let store = world.open().await;
    assert!(store.tokens().await.unwrap().all.is_empty());
    let (made, text) = store.create_token("ci", &[Scope::Run, Scope::Work], None).await.unwrap();
    let (_, other) = store.create_token("other", &[Scope::Admin], None).await.unwrap();
    let tokens = store.tokens().await.unwrap();
    let known: Vec<&str> = tokens.all.iter().map(|token| token.name.as_str()).collect();
    assert_eq!(known, ["ci", "other"]);
    let token = &tokens.all[0];
    assert_eq!((token.id.as_str(), &token.scopes), (Token::id_of(&text).unwrap(), &made.scopes));
    assert!(token.is(&text) && token.is_live(tokens.now));
    assert!(!token.is(&other) && !token.is(&text[..text.len() - 1]) && !token.is(""));
    assert!(!format!("{token:?}").contains(text.rsplit('_').next().unwrap()));
}

async fn a_name_is_free_again_after_its_token(world: World) {
    let store = world.open().await;
    let refused = |made: Result<_, store::Error>| made.map(drop).unwrap_err().kind;
    let (first, _) = store.create_token("ci", &[Scope::Read], None).await.unwrap();
    assert_eq!(refused(store.create_token("ci", &[Scope::Read], None).await), Kind::Refused);
    assert_eq!(refused(store.create_token("no name", &[Scope::Read], None).await), Kind::Refused);
    assert!(store.revoke_token("ci").await.unwrap().revoked_at.is_some());
    assert_eq!(store.revoke_token("ci").await.unwrap_err().kind, Kind::Refused);
    assert_eq!(store.revoke_token("nobody").await.unwrap_err().kind, Kind::NotFound);
    let (second, _) = store.create_token("ci", &[Scope::Read], None).await.unwrap();
    assert_eq!(store.revoke_token("ci").await.unwrap().id, second.id, "a name means the token in force");
    let tokens = store.tokens().await.unwrap();
    assert!(tokens.all.iter().all(|token| !token.is_live(tokens.now)));
    assert_eq!(store.revoke_token(&first.id).await.unwrap_err().kind, Kind::Refused);
}

async fn a_token_ends_by_itself(world: World) {
    let store = world.open().await;
    let (token, _) = store.create_token("day", &[Scope::Read], Some(86_400_000)).await.unwrap();
    let end = token.expires_at.unwrap();
    assert_eq!(end - token.created_at, 86_400_000);
    assert!(token.is_live(end - 1) && !token.is_live(end));
}
