//! The two forms that a Service manifest is delivered in: every story is told in both.

/// Makes two tests of each story: `STORY::as_routes` and `STORY::as_service`.
///
/// A story is an `async fn(Expand)` beside the macro's call.
macro_rules! in_both_forms {
    ($($story:ident),+ $(,)?) => {
        $(mod $story {
            use sluice::api::delivery::Expand;

            #[tokio::test(flavor = "multi_thread")]
            async fn as_routes() {
                super::$story(Expand::Routes).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn as_service() {
                super::$story(Expand::Service).await;
            }
        })+
    };
}

pub(crate) use in_both_forms;
