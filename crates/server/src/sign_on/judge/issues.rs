//! Requests about issues and label schemas, which are an experiment's.

use access::{Action, Need};
use entities::ResourceKind;

use super::{Judge, Needs, each, refused};
use crate::sign_on::needs::{experiment_need, issue_needs};
use crate::sign_on::rules::Rule;
use crate::wire::missing;

impl Judge<'_> {
    pub(super) async fn of_issues(&self, rule: Rule) -> Needs {
        match rule {
            Rule::Issue(action) => self.issue(action).await,
            Rule::CreateIssue => {
                let ids = self.experiments("experiment_id")?;
                let mut needs = each(&ids, |id| issue_needs(Action::Update, id));
                let runs = self.asked.all("source_run_id");
                needs.extend(self.runs_of(runs, Action::Read).await?);
                Ok(needs)
            }
            Rule::SearchIssues => {
                // Without an experiment, all of them are searched.
                let ids = self.experiments("experiment_id")?;
                let mut needs = each(&ids, |id| issue_needs(Action::Read, id));
                // How many traces show an issue is told by what is said of them.
                needs.push(Need::any(Action::Unless, ResourceKind::Trace));
                needs.push(Need::any(Action::Unless, ResourceKind::Assessment));
                Ok(needs)
            }
            Rule::LabelSchema(action) => self.label_schema(action).await,
            _ => refused(),
        }
    }

    /// The path alone says which is changed, whatever the body names.
    async fn issue(&self, action: Action) -> Needs {
        let mut needs = Vec::new();
        for id in self.asked.all("issue") {
            let found = match id.parse() {
                Ok(id) => self.app.traces.find_issue(&id).await?,
                Err(_) => None,
            };
            let Some(found) = found else {
                return refused();
            };
            needs.extend(issue_needs(action, found.experiment.as_str()));
        }
        if needs.is_empty() {
            refused()
        } else {
            Ok(needs)
        }
    }

    async fn label_schema(&self, action: Action) -> Needs {
        let ids = self.asked.all("schema_id");
        if ids.is_empty() {
            return Err(missing("schema_id"));
        }
        let mut needs = Vec::new();
        for id in ids {
            let found = match id.parse() {
                Ok(id) => self.app.traces.find_label_schema(&id).await?,
                Err(_) => None,
            };
            let Some(found) = found else {
                return refused();
            };
            needs.push(experiment_need(action, found.experiment.as_str()));
        }
        Ok(needs)
    }
}
